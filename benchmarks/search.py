"""How long the search box takes among 600,000 units: `.venv/bin/python -m benchmarks.search
[--units N] [--engine postgresql|sqlite]`.

Beside each kind of text the same question with LIKE on each column, which is what it took the place
of, in the same run. Each is asked twenty times, after one that is not counted.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask_migrate import upgrade

import config
from app import create_app
from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db, insert_many
from outreach.overview.queries import search_units
from outreach.units.models import Contact, Unit, UnitAlias
from outreach.units.naming import initials, name_key
from tests import factories
from tests.services import Postgres

TIMES = 20
PLACES = ("衡阳市", "雁峰区", "石鼓区", "珠晖区", "蒸湘区", "南岳区", "衡南县", "衡东县", "常宁市")
STEMS = "春夏江河湖海山川云雨松竹梅兰金木水火土天地人和平安顺利兴旺发达光明正大新中华夏远"
ENDS = (
    "财政局",
    "教育局",
    "公安分局",
    "中学",
    "实业有限公司",
    "科技有限公司",
    "医院",
    "街道办事处",
)
TEXTS = {
    "a whole name": "衡阳市财政局",
    "how many begin": "衡阳",
    "one character": "财",
    "what many hold": "财政",
    "what few hold": "梅竹",
    "initials, whole": "hysczj",
    "initials, what many hold": "czj",
    "the end of a number": "4321",
    "a former name": "老江河局",
    "a credit code": "11430400006095206L",
    "what nobody has": "不存在的词",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=600_000)
    parser.add_argument("--engine", choices=["postgresql", "sqlite"], default="postgresql")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        is_sqlite = options.engine == "sqlite"
        url = f"sqlite:///{root}/search.db" if is_sqlite else Postgres(root).create("bench")
        with create_app(config.load(data_dir=root, database_url=url)).app_context():
            upgrade()
            campaign = factories.make_campaign()
            with without_search_indexes():
                fill(campaign, options.units)
            analyse()
            viewer = factories.make_user(Role.STAFF)
            print(f"{options.engine}, {options.units} units, milliseconds: median, worst; LIKE")
            for kind, text in TEXTS.items():
                found = len(search_units(campaign, viewer, text))
                ours = measure(lambda text=text: search_units(campaign, viewer, text), TIMES)
                like = measure(lambda text=text: search_by_like(campaign, text), 3)
                print(
                    f"{kind:<26} {found:>3} found {statistics.median(ours):8.1f} {max(ours):8.1f}"
                    f" {statistics.median(like):9.1f}",
                    flush=True,
                )


@contextmanager
def without_search_indexes() -> Iterator[None]:
    """To fill tables without them is faster."""
    indexes: Sequence[sa.Row[str, str]] = ()
    if db.engine.dialect.name == "postgresql":
        ours = "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix_search_%'"
        indexes = db.session.execute(sa.text(ours)).all()
    for name, _definition in indexes:
        db.session.execute(sa.text(f"DROP INDEX {name}"))
    yield
    for _name, definition in indexes:
        db.session.execute(sa.text(definition))
    db.session.commit()


def fill(campaign: Campaign, count: int) -> None:
    """All units in one campaign, each with a contact, one in twenty with a former name."""
    sector_ids = [factories.make_sector(campaign).id for _ in range(20)]
    choose = random.Random(1)
    units, now = [], clock.now()
    for name, letters, code in _names(choose, count):
        units.append(
            {
                "name": name,
                "name_key": name_key(name),
                "initials": letters,
                "short_name": name[3:],
                "credit_code": code,
                "kind": "organ",
                "created_at": now,
                "version": 1,
            }
        )
    ids = [row.id for row in insert_many(Unit, units, Unit.id)]
    former = [f"老{choose.choice(STEMS)}{choose.choice(STEMS)}局" for _ in ids[::20]]
    former[0] = "老江河局"
    places = [
        {"campaign_id": campaign.id, "unit_id": id_, "sector_id": choose.choice(sector_ids)}
        | {"stage": "not_contacted", "is_exempt": False, "next_action": "", "version": 1}
        for id_ in ids
    ]
    contacts = [
        {"unit_id": id_, "name": "张三", "role": "coordinator", "valid_from": now.date()}
        | {"mobile": f"+86138{choose.randrange(10**8):08}", "version": 1}
        for id_ in ids
    ]
    aliases = [
        {"unit_id": id_, "name": name, "name_key": name, "kind": "former"}
        for id_, name in zip(ids[::20], former, strict=True)
    ]
    for table, rows in ((Solicitation, places), (Contact, contacts), (UnitAlias, aliases)):
        insert_many(table, rows, table.unit_id)
    db.session.commit()


def analyse() -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))


def _names(choose: random.Random, count: int) -> Iterator[tuple[str, str, str | None]]:
    """Names with their initials and a credit code, which one of them has."""
    letters = {part: initials(part) for part in (*PLACES, *STEMS, *ENDS)}
    seen = {"衡阳市财政局"}
    yield "衡阳市财政局", "hysczj", "11430400006095206L"
    while len(seen) < count:
        stem = choose.choices(STEMS, k=choose.choice([2, 3, 4]))
        parts = [choose.choice(PLACES), *stem, choose.choice(ENDS)]
        name = "".join(parts)
        if name not in seen:
            seen.add(name)
            yield name, "".join(letters[part] for part in parts), None


def search_by_like(campaign: Campaign, text: str) -> list[Any]:
    """Each column is read through."""
    part = f"%{text}%"
    has_alias = sa.exists().where(UnitAlias.unit_id == Unit.id, UnitAlias.name.like(part))
    has_number = sa.exists().where(Contact.unit_id == Unit.id, Contact.mobile.like(f"%{text}"))
    return list(
        db.session.execute(
            sa.select(Solicitation.id)
            .join(Solicitation.unit)
            .where(
                Solicitation.campaign_id == campaign.id,
                sa.or_(
                    Unit.name.like(part),
                    Unit.short_name.like(part),
                    Unit.initials.like(part),
                    Unit.credit_code.like(part),
                    has_alias,
                    has_number,
                ),
            )
            .order_by(sa.func.length(Unit.name), Unit.name)
            .limit(20)
        )
    )


def measure(ask: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each; the first is not counted."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
        db.session.rollback()
    return taken[1:]


if __name__ == "__main__":
    main()
