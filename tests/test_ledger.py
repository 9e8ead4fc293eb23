"""The ledger adds up, says what it cannot explain, and finds what was published wrongly."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.campaigns.models import Campaign, SectorLineage
from outreach.db import db, run, table_of
from outreach.documents.basic_facts import describe_many, write_basic_facts
from outreach.errors import Refused
from outreach.gifts import reconciliation
from outreach.gifts.ledger import check_ledger
from outreach.gifts.lines import link_line
from outreach.gifts.models import (
    Gift,
    GiftBasis,
    GiftKind,
    Residual,
    ResidualNote,
    StatedFigure,
    Subject,
)
from outreach.gifts.services import record_gift, reverse_gift
from tests import factories
from tests.conftest import SignIn

WAN = 1_000_000


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    """Two sectors that gave 3 and 2 万元, one for a person, and 0.5 that nobody has allocated."""
    before = factories.make_campaign(code="2025")
    campaign = factories.make_campaign(code="2026", previous_id=before.id)
    for name, amount, then in (("教育", 3 * WAN, WAN), ("卫健", 2 * WAN, 4 * WAN)):
        old, new = (factories.make_sector(year, name=name) for year in (before, campaign))
        factories.save(SectorLineage(sector_id=new.id, predecessor_id=old.id))
        factories.make_gift(factories.make_solicitation(before, old), then)
        factories.make_gift(factories.make_solicitation(campaign, new), amount, donor_count=7)
    record_gift(
        campaign=campaign,
        amount_fen=WAN // 2,
        kind=GiftKind.INDIVIDUAL,
        received_on=date(2026, 10, 1),
        basis=GiftBasis.OUTSIDE_ACCOUNT,
    )
    db.session.commit()
    return campaign


def first_gift(campaign: Campaign) -> Gift:
    """The 3 万元 of the first sector."""
    of_campaign = sa.select(Gift).where(Gift.campaign_id == campaign.id)
    return db.session.scalars(of_campaign.order_by(Gift.id)).first()


def failing(campaign: Campaign) -> list[str]:
    db.session.expire_all()
    return [str(identity.name) for identity in check_ledger(campaign) if not identity.holds]


def run_cli(app: Flask, *arguments: str):
    return app.test_cli_runner().invoke(args=["ledger", *arguments])


def test_every_identity_holds_and_the_command_says_so(app: Flask, campaign: Campaign):
    gift = first_gift(campaign)
    reverse_gift(gift, reason="退回", by=None)
    db.session.commit()
    assert failing(campaign) == []
    result = run_cli(app, "check", "--campaign", "2026")
    assert result.exit_code == 0
    assert "✓\t到账总额 = 各板块 + 未分配\t25,000\t25,000\t0" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ({"sector_id": None, "unit_id": None}, []),
        ({"amount_fen": 1}, ["导入文件"]),
        ({"sector_id": "other"}, ["所属单位之和"]),
    ],
)
def test_what_was_changed_behind_the_ledgers_back_is_found(
    campaign: Campaign, damage: dict[str, object], found: list[str]
):
    batch = factories.make_import_batch(campaign, amount_fen=3 * WAN)
    first = first_gift(campaign)
    gifts = table_of(Gift)
    with factories.without_seals():
        run(sa.update(gifts).where(gifts.c.id == first.id).values(import_batch_id=batch.id))
    assert failing(campaign) == []
    other = campaign.sectors[1].id
    values = {name: other if value == "other" else value for name, value in damage.items()}
    with factories.without_seals():
        run(sa.update(gifts).where(gifts.c.id == first.id).values(**values))
    names = failing(campaign)
    assert all(any(text in name for name in names) for text in found)
    assert bool(names) == bool(found)


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(Gift).values(amount_fen=Gift.amount_fen + 1),
        sa.update(Gift).values(received_on=date(2026, 1, 1)),
        sa.update(Gift).values(kind=GiftKind.INDIVIDUAL),
        sa.delete(Gift),
    ],
    ids=("amount", "day", "kind", "removal"),
)
def test_the_database_itself_refuses_to_change_or_remove_a_gift(
    campaign: Campaign, statement: sa.Executable
):
    with pytest.raises(sa.exc.DBAPIError, match="a gift is final"):
        run(statement)
    db.session.rollback()
    assert failing(campaign) == []


def test_a_reversal_that_does_not_match_is_found(app: Flask, campaign: Campaign):
    gift = first_gift(campaign)
    reversal = reverse_gift(gift, reason="退回", by=None)
    db.session.flush()
    gifts = table_of(Gift)
    with factories.without_seals():
        run(sa.update(gifts).where(gifts.c.id == reversal.id).values(amount_fen=-5))
    db.session.commit()
    assert failing(campaign) == ["被冲正的金额 = 冲正的金额", "冲正与原记录的归属一致"]
    result = run_cli(app, "check", "--campaign", "2026", "--json")
    assert result.exit_code == 1
    [broken] = [row for row in json.loads(result.stdout)["identities"] if not row["holds"]][:1]
    assert (broken["left"], broken["right"], broken["difference"]) == (3 * WAN, 5, 3 * WAN - 5)


def test_residuals_have_an_amount_an_owner_and_a_note_until_they_change(campaign: Campaign):
    owner = factories.make_user(name="王敏")
    factories.make_line(campaign, amount_fen=700)
    found = {
        row.residual: (row.amount_fen, row.count) for row in reconciliation.list_residuals(campaign)
    }
    assert found == {
        Residual.UNALLOCATED: (WAN // 2, 1),
        Residual.OPEN_LINES: (700, 1),
        Residual.WITHOUT_LINE: (5 * WAN, 2),
    }
    reconciliation.note_residual(
        campaign, Residual.OPEN_LINES, owner=owner, note="等银行回复", by=owner
    )
    [noted] = [row for row in reconciliation.list_residuals(campaign) if row.note]
    assert (noted.is_explained, noted.note.owner, noted.note.note) == (True, owner, "等银行回复")
    factories.make_line(campaign, amount_fen=1)
    [noted] = [row for row in reconciliation.list_residuals(campaign) if row.note]
    assert not noted.is_explained


def test_a_gift_with_its_line_or_taken_back_is_not_without_line(campaign: Campaign):
    first, second = db.session.scalars(
        reconciliation.select_without_line(campaign).order_by(Gift.id)
    )
    line = factories.make_line(campaign, amount_fen=first.amount_fen)
    link_line(line, [first], by=factories.make_user())
    reverse_gift(second, reason="退回", by=None)
    assert db.session.scalars(reconciliation.select_without_line(campaign)).all() == []
    residuals = {row.residual for row in reconciliation.list_residuals(campaign)}
    assert Residual.WITHOUT_LINE not in residuals
    with pytest.raises(Refused):
        reconciliation.note_residual(
            campaign,
            Residual.WITHOUT_LINE,
            owner=factories.make_user(),
            note="",
            by=factories.make_user(),
        )


def test_what_was_published_is_held_against_the_ledger_and_itself(campaign: Campaign):
    first, second = campaign.sectors
    for subject, value, sector in (
        (Subject.TOTAL, 5 * WAN + WAN // 2, None),
        (Subject.CHANGE, WAN // 2, None),
        (Subject.SECTOR_COUNT, 3, None),
        (Subject.UNIT_COUNT, 2, None),
        (Subject.DONOR_COUNT, 14, None),
        (Subject.SECTOR, 3 * WAN, first),
        (Subject.SECTOR, 2 * WAN, second),
    ):
        reconciliation.state_figure(campaign, subject, value=value, source="简报", sector=sector)
    wrong = [row for row in reconciliation.compare_stated(campaign) if not row.agrees]
    assert [row.sentence for row in wrong] == [
        "简报：板块数为 3，账上为 2，相差 1。",
        "简报：公布的 2 个板块合计为 5 万元，公布的总额为 5.5 万元，相差 0.5 万元。",
    ]
    assert wrong == write_basic_facts(campaign).contradictions


def test_the_basic_facts_are_written_from_the_ledger_alone(campaign: Campaign):
    text = write_basic_facts(campaign).text
    assert "募集资金5.5万元，较上年度增长0.5万元" in text
    assert "其中：教育捐款3万元，卫健捐款2万元，另有0.5万元未分配到板块。" in text
    assert "有2家机关和企事业单位、14名爱心人士参与" in text
    assert "捐赠金额有提升的为：教育。" in text
    assert "捐赠金额有降低的为：卫健。" in text
    assert "持平" not in text


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "1万"),
        (59_600, "近6万"),
        (52_000, "5.2万"),
        (52_001, "5.2万余"),
        (100_900, "10万余"),
    ],
)
def test_many_people_are_told_roughly(count: int, words: str):
    assert describe_many(count) == words


def test_the_page_of_reconciliation_takes_published_figures_and_notes(
    campaign: Campaign, sign_in: SignIn
):
    person = factories.make_user()
    client = sign_in(person)
    path = "/c/2026/gifts/reconciliation"
    assert "条等式全部成立" in client.get(path).text
    form = {"subject": "total", "sector_id": "0", "value": "5.6", "source": "简报"}
    client.post(f"{path}/figures", data=form)
    page = client.get(path).text
    assert "0.1000" in page
    for wrong, message in (
        ({"value": "很多"}, "不是数字"),
        ({"subject": "sector"}, "请选择板块"),
        ({"subject": "nonsense"}, "简报"),
    ):
        refused = client.post(f"{path}/figures", data=form | wrong)
        assert refused.status_code == 422
        assert message in refused.text
    [figure] = reconciliation.compare_stated(campaign)
    client.post(f"{path}/figures/{figure.figure_id}/remove")
    assert reconciliation.compare_stated(campaign) == []
    note = {"owner_id": str(person.id), "note": "平台汇总"}
    assert client.post(f"{path}/unallocated", data=note).location == path
    assert "平台汇总" in client.get(path).text
    assert client.get(f"{path}/open_lines").status_code == 404, "there is nothing to explain"
    assert client.get("/c/2026/gifts/without-line").status_code == 200
    assert "募集资金5.5万元" in client.get("/c/2026/basic-facts").text


def test_an_auditor_reads_and_does_not_write(campaign: Campaign, sign_in: SignIn):
    client = sign_in(factories.make_user(role=Role.AUDITOR))
    page = client.get("/c/2026/gifts/reconciliation").text
    assert "记下公布的数字" not in page
    note = {"owner_id": "1", "note": "x"}
    assert client.post("/c/2026/gifts/reconciliation/unallocated", data=note).status_code == 403


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_note_the_same_at_once_leave_one_figure_and_one_note(
    app: Flask, campaign: Campaign
):
    """SQLite lets one write at a time anyway."""
    at_once = Barrier(2)
    campaign_id, by_id = campaign.id, factories.make_user().id
    db.session.commit()

    def note(value: int) -> None:
        with app.app_context():
            there = db.session.get_one(Campaign, campaign_id)
            by = db.session.get_one(factories.User, by_id)
            at_once.wait()
            reconciliation.state_figure(there, Subject.TOTAL, value=value, source="工作报告")
            reconciliation.note_residual(
                there, Residual.WITHOUT_LINE, owner=by, note=str(value), by=by
            )
            db.session.commit()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(note, (1, 2)))
    figures = db.session.scalars(sa.select(StatedFigure).filter_by(campaign_id=campaign_id))
    notes = db.session.scalars(sa.select(ResidualNote).filter_by(campaign_id=campaign_id))
    assert [str(row.value) for row in figures] == [row.note for row in notes]


def test_without_tables_the_command_says_what_to_do(app: Flask):
    db.session.execute(sa.text("ALTER TABLE campaign RENAME TO elsewhere"))
    db.session.commit()
    result = run_cli(app, "check", "--campaign", "2026")
    db.session.rollback()
    db.session.execute(sa.text("ALTER TABLE elsewhere RENAME TO campaign"))
    db.session.commit()
    assert (result.exit_code, "flask db upgrade" in result.output) == (1, True)
