"""Migrations on both databases: up, down and up again, with nothing left to migrate."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from flask_migrate import check, downgrade, upgrade

from app import create_app
from outreach.db import db
from outreach.gifts.lines import claim_line, link_line, reopen_line, set_line_aside
from outreach.gifts.matching import match_lines
from outreach.gifts.models import GiftKind, LikelyGift, LineCandidate, LineGift
from outreach.messages.models import Message, MessageSolicitation, MessageStatus, Wave
from tests.conftest import make_settings
from tests.factories import (
    make_gift,
    make_line,
    make_running_wave,
    make_solicitation,
    make_unit,
    make_user,
)
from tests.services import Postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path, worker: str):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{worker}"
    yield server.create(name)
    server.drop(name)


def test_migrations_go_up_and_down_and_match_the_models(empty_database: str, tmp_path: Path):
    app = create_app(make_settings(empty_database, tmp_path))
    with app.app_context():
        upgrade()
        check()  # SystemExit when the models say more than the migrations
        assert _tables() == set(db.metadata.tables) | {"alembic_version"}
        downgrade(revision="base")
        assert _tables() == {"alembic_version"}
        upgrade()
        db.engine.dispose()


def test_rows_outlive_migrations(empty_database: str, tmp_path: Path):
    """On SQLite a table that is changed is made anew, while others refer to its rows."""
    app = create_app(make_settings(empty_database, tmp_path))
    with app.app_context():
        upgrade()
        make_running_wave(3)
        arrived, *_others = db.session.scalars(sa.select(Message).order_by(Message.id))
        arrived.status, arrived.facts = MessageStatus.CANCELLED, {"arrived": True}
        db.session.commit()
        before = _count_rows()
        db.session.remove()
        downgrade(revision="0001")
        upgrade()
        assert _count_rows() == before
        moments = db.session.scalars(sa.select(Message.sent_at).order_by(Message.id)).all()
        assert [moment is not None for moment in moments] == [True, False, False]
        with pytest.raises(sa.exc.IntegrityError):
            db.session.execute(sa.delete(Message))
        db.session.remove()
        db.engine.dispose()


def test_candidates_of_open_lines_keep_why_and_hold_their_units(
    empty_database: str, tmp_path: Path
):
    """Those of settled lines go: nobody asks for them."""
    app = create_app(make_settings(empty_database, tmp_path))
    with app.app_context():
        upgrade()
        solicitation = make_solicitation(unit=make_unit(name="衡阳市教育局"))
        line = make_line(solicitation.campaign, payer="衡阳市教育局")
        other = make_line(solicitation.campaign, payer="会费", amount_fen=1)
        set_line_aside(other, reason="会费", by=make_user())
        db.session.commit()
        ids = (line.id, other.id, solicitation.id)
        db.session.remove()
        downgrade(revision="0009")
        because = sa.text("UPDATE line_candidate SET because = '付款人就是它' WHERE line_id = :id")
        db.session.execute(because, {"id": ids[0]})
        stale = sa.text(
            "INSERT INTO line_candidate (line_id, solicitation_id, because)"
            " VALUES (:line, :unit, '相近')"
        )
        db.session.execute(stale, {"line": ids[1], "unit": ids[2]})
        db.session.commit()
        db.session.remove()
        upgrade()
        candidates = db.session.scalars(sa.select(LineCandidate)).all()
        assert [(row.line_id, row.because) for row in candidates] == [(ids[0], "付款人就是它")]
        db.session.remove()
        db.engine.dispose()


def test_lines_keep_their_gifts_and_whether_they_made_them(empty_database: str, tmp_path: Path):
    app = create_app(make_settings(empty_database, tmp_path))
    with app.app_context():
        upgrade()
        solicitation = make_solicitation()
        made, linked, _open = (
            make_line(solicitation.campaign, amount_fen=fen, reference=f"S{fen}")
            for fen in (100, 200, 300)
        )
        by = make_user()
        for _time in range(2):
            claim_line(made, solicitation, kind=GiftKind.UNIT, by=by)
            reopen_line(made, reason="看错了", by=by)
        claim_line(made, solicitation, kind=GiftKind.UNIT, by=by)
        link_line(linked, [make_gift(solicitation, 200)], by=by)
        make_gift(solicitation, 300, reference="S300")
        match_lines(solicitation.campaign)
        db.session.commit()
        expected = _read_links()
        assert [row[2] for row in expected] == [True, False, None]
        db.session.remove()
        downgrade(revision="0012")
        upgrade()
        assert _read_links() == expected
        db.session.remove()
        db.engine.dispose()


def _read_links() -> list[tuple[int, int, bool | None]]:
    made = sa.select(LineGift.line_id, LineGift.gift_id, LineGift.is_made_here)
    likely = sa.select(LikelyGift.line_id, LikelyGift.gift_id, sa.null())
    return sorted(tuple(row) for query in (made, likely) for row in db.session.execute(query))


def _count_rows() -> list[int]:
    tables = (Wave, Message, MessageSolicitation)
    return [db.session.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]


def _tables() -> set[str]:
    return set(sa.inspect(db.engine).get_table_names())
