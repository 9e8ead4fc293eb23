"""Two rows for one unit become one, with every history, to the fen; and two again."""

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.campaigns.importing import apply_register
from outreach.campaigns.models import Campaign, DeclineReason, Solicitation, Stage
from outreach.campaigns.undoing import undo_register
from outreach.db import db, run
from outreach.errors import Conflict, Refused
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import Gift, Pledge
from outreach.gifts.payers import learn_payer
from outreach.gifts.services import reverse_gift
from outreach.merging import plans
from outreach.merging.journal import references
from outreach.merging.models import UnitMerge
from outreach.merging.plans import plan_merge
from outreach.merging.services import merge_units, undo_merge
from outreach.messages import opt_outs
from outreach.messages.models import Channel, MessageSolicitation, WaveStatus
from outreach.reminders.audience import AudienceFilter
from outreach.reminders.models import WaveMember
from outreach.todos.models import Todo, TodoKind, TodoStatus
from outreach.units.journal import plan_undo
from outreach.units.models import AliasKind, Contact, ImportBatch, Unit, UnitAlias
from outreach.units.queries import find_units
from outreach.visits.models import Visit, VisitStatus
from tests import factories
from tests.office import make_csv, plain
from tests.test_waves import make_approved, make_wave

REMEMBERED = {"unit_merge", "audit_event"}


def merge(survivor: Unit, loser: Unit) -> UnitMerge:
    plan = plan_merge(survivor, loser)
    done = merge_units(survivor, loser, fingerprint=plan.fingerprint, by=None)
    db.session.commit()
    return done


def undo(done: UnitMerge) -> None:
    undo_merge(done, by=None)
    db.session.commit()


def snapshot() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, but for what merging itself remembers and for versions."""
    db.session.expire_all()
    return {
        table.name: [
            {name: value for name, value in row.items() if name != "version"}
            for row in run(sa.select(table).order_by(*table.primary_key.columns)).mappings()
        ]
        for table in db.metadata.sorted_tables
        if table.name not in REMEMBERED
    }


def failing(*campaigns: Campaign) -> list[str]:
    db.session.expire_all()
    return [
        str(identity.name)
        for campaign in campaigns
        for identity in check_ledger(campaign)
        if not identity.holds
    ]


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    before = factories.make_campaign(
        code="2025", starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31)
    )
    return factories.make_campaign(code="2026", previous_id=before.id)


def make_place(campaign: Campaign, name: str, fen: int = 0, **values: Any) -> Solicitation:
    unit = factories.make_unit(name=name)
    factories.make_contact(unit)
    place = factories.make_solicitation(campaign, unit=unit, **values)
    if fen:
        factories.make_gift(place, fen)
    return place


def fill(place: Solicitation) -> None:
    """Something of everything that can hang on a unit."""
    contact = place.unit.contacts[0]
    factories.make_visit(place)
    factories.make_todo(place, contact_id=contact.id)
    factories.make_pledge(place, 500_00)
    factories.save(UnitAlias(unit_id=place.unit_id, name="老局", name_key="老局"))
    factories.make_line(place.campaign, payer=place.unit.name)
    line = factories.make_line(place.campaign, payer="财务中心")
    learn_payer(line, place, by=factories.make_user())
    wave = factories.make_wave_to(place.campaign_id, [(contact, [place])])
    wave.status = WaveStatus.FINISHED
    db.session.commit()


def test_every_key_to_a_unit_is_taken_care_of(app: Flask):
    """A new table that refers to units, their places or contacts must say what merging does."""
    found = {
        f"{column.table.name}.{column.name}"
        for name in ("unit", "solicitation", "contact")
        for column in references(db.metadata.tables[name])
    }
    handled = set(plans.ON_UNIT) | set(plans.ON_SOLICITATION) | plans.BY_HAND | plans.STAYS
    assert found == handled


def test_everything_goes_to_the_survivor_and_comes_back(campaign: Campaign):
    survivor, loser = (make_place(campaign, name, 300_00) for name in ("甲局", "乙局"))
    for place in (survivor, loser):
        fill(place)
    former = factories.make_solicitation(campaign.previous, unit=loser.unit)
    factories.make_gift(former, 100_00, received_on=date(2025, 10, 1))
    before, place_id = snapshot(), loser.id
    done = merge(survivor.unit, loser.unit)
    assert failing(campaign, campaign.previous) == []
    for column in (*references(Unit.__table__), *references(Solicitation.__table__)):
        name = f"{column.table.name}.{column.name}"
        if name not in plans.STAYS:
            old = done.loser_id if name.endswith("unit_id") else place_id
            assert not run(sa.select(column).where(column == old)).all(), name
    gifts = db.session.scalars(sa.select(Gift).order_by(Gift.id)).all()
    assert {gift.unit_id for gift in gifts} == {done.survivor_id}
    place = db.session.get_one(Solicitation, survivor.id)
    assert {gift.sector_id for gift in gifts[:2]} == {place.sector_id}
    statuses = db.session.scalars(sa.select(Visit.status).order_by(Visit.id)).all()
    assert statuses == [VisitStatus.PLANNED, VisitStatus.DROPPED]
    statuses = db.session.scalars(sa.select(Todo.status).order_by(Todo.id)).all()
    assert statuses == [TodoStatus.OPEN, TodoStatus.DROPPED]
    open_ = sa.select(sa.func.count(Pledge.id)).where(Pledge.withdrawn_at.is_(None))
    assert db.session.scalar(open_) == 1
    undo(done)
    assert snapshot() == before


def test_one_message_that_named_both_names_the_survivor_once(campaign: Campaign):
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    wave = factories.make_wave_to(campaign.id, [(survivor.unit.contacts[0], [survivor, loser])])
    wave.status = WaveStatus.FINISHED
    db.session.commit()
    before = snapshot()
    done = merge(survivor.unit, loser.unit)
    for column in (MessageSolicitation.solicitation_id, WaveMember.solicitation_id):
        assert db.session.scalars(sa.select(column)).all() == [survivor.id]
    undo(done)
    assert snapshot() == before


def test_the_losers_name_and_code_find_the_survivor(campaign: Campaign):
    survivor, loser = (make_place(campaign, name).unit for name in ("甲局", "乙局"))
    survivor.credit_code, loser.credit_code = "11430400006123456A", "11430400006123457B"
    db.session.commit()
    done = merge(survivor, loser)
    aliases = {alias.name: alias.kind for alias in survivor.aliases}
    assert aliases["乙局"] is AliasKind.FORMER
    assert aliases["11430400006123457B"] is AliasKind.CREDIT_CODE
    for found in (find_units(keys=["乙局"]), find_units(credit_codes=["11430400006123457B"])):
        assert [unit.id for unit in found] == [survivor.id]
    undo(done)
    assert [unit.name for unit in find_units(keys=["乙局"])] == ["乙局"]


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [
        (Stage.NOT_CONTACTED, Stage.VISITED, Stage.VISITED),
        (Stage.PLEDGED, Stage.CONTACTED, Stage.PLEDGED),
        (Stage.VISITED, Stage.DECLINED, Stage.DECLINED),
        (Stage.DECLINED, Stage.PLEDGED, Stage.PLEDGED),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_is_asked_again_because_two_became_one(
    campaign: Campaign, ours: Stage, theirs: Stage, kept: Stage
):
    rest = date(2026, 11, 30)
    reasons = {Stage.DECLINED: DeclineReason.HARD_TIMES}
    survivor = make_place(campaign, "甲局", stage=ours, decline_reason=reasons.get(ours))
    values = {"decline_reason": reasons.get(theirs), "snoozed_until": rest, "is_exempt": True}
    loser = make_place(campaign, "乙局", stage=theirs, **values)
    merge(survivor.unit, loser.unit)
    assert (survivor.stage, survivor.snoozed_until, survivor.is_exempt) == (kept, rest, True)
    assert len(survivor.changes) == (kept is not ours)


def test_who_opted_out_of_the_loser_is_not_written_to_by_the_survivor(campaign: Campaign):
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    contact = loser.unit.contacts[0]
    opt_outs.add(Channel.EMAIL, factories.hash_address(Channel.EMAIL, contact.email), source="x")
    merge(survivor.unit, loser.unit)
    contact = db.session.get_one(Contact, contact.id)
    assert contact.unit_id == survivor.unit_id
    assert opt_outs.find(Channel.EMAIL, factories.hash_address(Channel.EMAIL, contact.email))


def test_a_person_whom_both_have_answers_once(campaign: Campaign):
    survivor, loser = (make_place(campaign, name).unit for name in ("甲局", "乙局"))
    for unit in (survivor, loser):
        unit.contacts[0].name, unit.contacts[0].mobile = "张三", "+8613800001234"
    db.session.commit()
    merge(survivor, loser)
    assert [c.name for c in survivor.contacts if c.is_valid_on(clock.today())] == ["张三"]
    assert len(survivor.contacts) == 2


def test_what_came_after_the_merge_stays_with_the_survivor(campaign: Campaign):
    """Also in a campaign in which only the loser had a place."""
    survivor, loser = factories.make_unit(name="甲局"), make_place(campaign, "乙局", 300_00)
    before = Gift.unit_id == survivor.id
    done = merge(survivor, loser.unit)
    [place] = db.session.scalars(sa.select(Solicitation).filter_by(unit_id=survivor.id))
    factories.make_gift(place, 70_00)
    visit = factories.make_visit(place)
    undo(done)
    assert db.session.scalars(sa.select(Gift.amount_fen).where(before)).all() == [70_00]
    assert db.session.get_one(Visit, visit.id).solicitation.unit_id == survivor.id
    assert failing(campaign) == []


def test_a_gift_goes_back_together_with_its_reversal(campaign: Campaign):
    survivor, loser = (make_place(campaign, name, 300_00) for name in ("甲局", "乙局"))
    done = merge(survivor.unit, loser.unit)
    gift = db.session.scalars(sa.select(Gift).order_by(Gift.id.desc())).first()
    reverse_gift(gift, reason="退回", by=None)
    db.session.commit()
    undo(done)
    sums = plans.sum_by_campaign(done.loser_id), plans.sum_by_campaign(done.survivor_id)
    assert sums == ({campaign.id: 0}, {campaign.id: 300_00})
    assert failing(campaign) == []


def test_what_was_not_previewed_is_not_done(campaign: Campaign):
    survivor, loser = (make_place(campaign, name, 300_00) for name in ("甲局", "乙局"))
    seen = plan_merge(survivor.unit, loser.unit).fingerprint
    factories.make_gift(loser, 1_00)
    with pytest.raises(Conflict, match="预览之后数据有变化"):
        merge_units(survivor.unit, loser.unit, fingerprint=seen, by=None)


def test_a_merge_is_refused_while_a_wave_has_the_loser_in_its_audience(campaign: Campaign):
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    factories.make_wave_to(campaign.id, [(loser.unit.contacts[0], [loser])])
    with pytest.raises(Refused, match="第一次提醒"):
        plan_merge(survivor.unit, loser.unit)
    plan_merge(loser.unit, survivor.unit)


def test_merges_are_undone_from_the_last_one_back(campaign: Campaign):
    first, second, third = (make_place(campaign, name).unit for name in ("甲局", "乙局", "丙局"))
    earlier = merge(second, third)
    later = merge(first, second)
    with pytest.raises(Refused, match="“乙局”又并入了“甲局”"):
        undo_merge(earlier, by=None)
    with pytest.raises(Refused, match="已并入另一个单位"):
        plan_merge(first, third)
    undo(later)
    undo(earlier)
    with pytest.raises(Conflict, match="已经撤销过"):
        undo_merge(earlier, by=None)


def test_an_undo_is_refused_when_the_name_was_taken_since(campaign: Campaign):
    survivor, loser = (make_place(campaign, name).unit for name in ("甲局", "乙局"))
    done = merge(survivor, loser)
    factories.make_unit(name="乙局")
    with pytest.raises(Refused, match="“乙局”的名称或信用代码已被别的单位使用"):
        undo_merge(done, by=None)


def test_a_wave_that_names_the_unit_names_the_survivor(campaign: Campaign):
    """So a rule does not ask again about a pledge that it has asked about, nor lose it."""
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    named = [loser.id, survivor.id]
    waves = [
        make_wave(campaign, audience=AudienceFilter(solicitation_ids=ids))
        for ids in ((loser.id,), named)
    ]
    before = snapshot()
    done = merge(survivor.unit, loser.unit)
    assert [wave.audience["solicitation_ids"] for wave in waves] == [[survivor.id]] * 2
    undo(done)
    assert snapshot() == before


def test_replies_of_both_are_still_read(campaign: Campaign):
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    for place in (survivor, loser):
        factories.make_todo(place, kind=TodoKind.REPLY, reason=f"“{place.unit.name}已捐”")
    merge(survivor.unit, loser.unit)
    todos = db.session.scalars(sa.select(Todo).order_by(Todo.id)).all()
    assert {todo.solicitation_id for todo in todos} == {survivor.id}
    assert [todo.reason for todo in todos if todo.is_open] == ["“甲局已捐”", "“乙局已捐”"]


def test_an_undo_waits_for_the_letters_about_the_two(campaign: Campaign):
    factories.open_sending()
    survivor, loser = (make_place(campaign, name).unit for name in ("甲局", "乙局"))
    factories.make_contact(loser)
    done = merge(survivor, loser)
    wave = make_approved(campaign)
    with pytest.raises(Refused, match="“甲局”在提醒批次“十月提醒”的名单里"):
        undo_merge(done, by=None)
    wave.status = WaveStatus.FINISHED
    undo(done)
    assert loser.merged_into_id is None


def test_the_id_of_a_place_that_is_gone_goes_to_nobody(campaign: Campaign):
    """Drafts name units by it."""
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    draft = make_wave(campaign, audience=AudienceFilter(solicitation_ids=(loser.id,)))
    old_id = loser.id
    done = merge(survivor.unit, loser.unit)
    assert factories.make_solicitation(campaign).id > old_id
    undo(done)
    assert draft.audience["solicitation_ids"] == [old_id]
    assert db.session.get_one(Solicitation, old_id).unit.name == "乙局"


def test_a_place_whose_id_was_given_to_another_comes_back_under_a_new_one(campaign: Campaign):
    """SQLite gave the highest id again when its row was gone, before migration 0028."""
    survivor, loser = (make_place(campaign, name, 300_00) for name in ("甲局", "乙局"))
    old_id, visit = loser.id, factories.make_visit(loser)
    done = merge(survivor.unit, loser.unit)
    factories.make_solicitation(campaign, id=old_id)
    undo(done)
    assert visit.solicitation.unit.name == "乙局"
    assert failing(campaign) == []


def test_what_people_changed_since_the_merge_is_kept(campaign: Campaign):
    survivor, loser = (make_place(campaign, name) for name in ("甲局", "乙局"))
    loser.unit.address, loser.snoozed_until = "解放路 1 号", date(2026, 11, 1)
    db.session.commit()
    done = merge(survivor.unit, loser.unit)
    assert survivor.unit.address == "解放路 1 号"
    survivor.unit.address = "解放路 2 号"
    db.session.commit()
    undo(done)
    assert survivor.unit.address == "解放路 2 号"
    assert survivor.snoozed_until is None


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_fen_appears_or_vanishes(app: Flask, data: st.DataObject):
    """Random units, gifts, merges and undos; at last all is undone and everything as it was."""
    _clear()
    units, campaigns = _make_world(data)
    start, totals = snapshot(), [_total(campaign) for campaign in campaigns]
    done: list[UnitMerge] = []
    for _step in range(data.draw(st.integers(1, 5))):
        standing = [unit for unit in units if unit.merged_into_id is None]
        if done and (len(standing) < 2 or data.draw(st.booleans())):
            undo(done.pop())
        elif len(standing) > 1:
            pair = data.draw(st.permutations(standing))[:2]
            done.append(merge(*pair))
        assert [_total(campaign) for campaign in campaigns] == totals
        assert failing(*campaigns) == []
    while done:
        undo(done.pop())
    assert snapshot() == start


def _make_world(data: st.DataObject) -> tuple[list[Unit], list[Campaign]]:
    before = factories.make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaigns = [before, factories.make_campaign(previous_id=before.id)]
    sectors = {c.id: [factories.make_sector(c) for _ in range(2)] for c in campaigns}
    units = [factories.make_unit() for _ in range(4)]
    for unit in units:
        factories.make_contact(unit)
        for campaign in campaigns:
            if not data.draw(st.booleans()):
                continue
            sector = data.draw(st.sampled_from(sectors[campaign.id]))
            stage = data.draw(st.sampled_from([Stage.NOT_CONTACTED, Stage.VISITED]))
            place = factories.make_solicitation(campaign, sector, unit=unit, stage=stage)
            for fen in data.draw(st.lists(st.integers(1, 10**9), max_size=2)):
                received = campaign.starts_on + timedelta(days=20)
                gift = factories.make_gift(place, fen, received_on=received)
                if data.draw(st.booleans()):
                    reverse_gift(gift, reason="退回", by=None)
            for make in (factories.make_visit, factories.make_todo, factories.make_pledge):
                if data.draw(st.booleans()):
                    make(place)
    db.session.commit()
    return units, campaigns


def _total(campaign: Campaign) -> int:
    return db.session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(Gift.amount_fen), 0)).filter_by(
            campaign_id=campaign.id
        )
    )


def _clear() -> None:
    with factories.without_seals():
        for table in reversed(db.metadata.sorted_tables):
            if table.name == "unit":
                run(sa.update(table).values(merged_into_id=None))
            if table.name == "gift":
                run(sa.delete(table).where(table.c.reversal_of_id.is_not(None)))
            if table.name == "campaign":
                run(sa.update(table).values(previous_id=None))
            run(sa.delete(table))
    db.session.commit()


def test_an_import_whose_units_were_merged_since_is_not_undone(campaign: Campaign):
    rows = [["板块", "单位名称"], ["甲系统", "甲局"], ["甲系统", "乙局"]]
    apply_register(campaign, make_csv(rows))
    db.session.commit()
    batch = db.session.scalars(sa.select(ImportBatch)).one()
    survivor, loser = db.session.scalars(sa.select(Unit).order_by(Unit.id))
    merge(survivor, loser)
    found = {(told.subject, plain(told.message)) for told in plan_undo(batch).obstacles}
    assert {("乙局", "导入后又改过“合并”"), ("甲局", "导入后已有合并记录")} <= found
    with pytest.raises(Refused, match="没有撤销"):
        undo_register(batch)
