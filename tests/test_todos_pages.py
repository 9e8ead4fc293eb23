"""待办 on its own pages, on 我的一天, at the unit, in 劝募台 and among the decisions."""

import re
import threading
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Stage
from outreach.db import db
from outreach.digests.decisions import DecisionKind, count_decisions
from outreach.todos import services
from outreach.todos.models import Todo, TodoKind, TodoOutcome, TodoStatus
from outreach.units.models import ContactRole
from tests.conftest import SignIn, noting_statements
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_sector,
    make_solicitation,
    make_todo,
    make_unit,
    make_user,
)

YESTERDAY, TOMORROW = date(2026, 10, 19), date(2026, 10, 21)
MOBILE = "+8613712345678"


@pytest.fixture
def call(app: Flask) -> Todo:
    unit = make_unit(name="衡阳市气象局")
    make_contact(unit, name="周敏", mobile=MOBILE)
    reason = "10-12 发出提醒后 5 个工作日未回应"
    return make_todo(make_solicitation(unit=unit), make_user(name="李向阳"), reason=reason)


def url(todo: Todo, path: str = "") -> str:
    return f"/c/{todo.solicitation.campaign.code}/todos{path.format(todo.id)}"


def day_of(todo: Todo) -> str:
    return f"/c/{todo.solicitation.campaign.code}/my-day"


def count_reveals() -> int:
    events = sa.select(sa.func.count(AuditEvent.id)).filter_by(action="reveal.contact")
    return db.session.scalar(events) or 0


def test_my_day_shows_what_is_due_with_a_number_to_tap_and_notes_that_it_was_shown(
    call: Todo, sign_in: SignIn
):
    client = sign_in(call.owner)
    for _ in range(2):
        page = client.get(day_of(call)).text
    for words in ("今天的待办", "衡阳市气象局", "打电话给联络员", call.reason, "周敏", "登记结果"):
        assert words in page
    assert f'href="tel:{MOBILE}"' in page
    assert count_reveals() == 1
    colleague = sign_in(make_user()).get(day_of(call)).text
    assert "今天的待办" not in colleague
    assert MOBILE not in colleague


@pytest.mark.parametrize("days", [-1, 0])
def test_what_is_overdue_is_on_my_day_too(call: Todo, sign_in: SignIn, days: int):
    call.due_on = clock.today() + timedelta(days=days)
    db.session.commit()
    page = sign_in(call.owner).get(day_of(call)).text
    assert "今天的待办" in page
    assert ("逾期 10-19" in page) == (days < 0)


def test_what_is_not_due_at_rest_or_has_given_is_not_on_my_day(call: Todo, sign_in: SignIn):
    client = sign_in(call.owner)
    call.due_on = TOMORROW
    db.session.commit()
    page = client.get(day_of(call)).text
    assert "今天的待办" not in page
    assert "之后还有 1 件待办" in page
    call.due_on = YESTERDAY
    call.solicitation.snoozed_until = clock.today()
    db.session.commit()
    assert "今天的待办" not in client.get(day_of(call)).text
    assert "暂缓至 10-20" in client.get(url(call)).text
    call.solicitation.snoozed_until = YESTERDAY
    db.session.commit()
    assert "今天的待办" in client.get(day_of(call)).text
    make_gift(call.solicitation)
    assert "今天的待办" not in client.get(day_of(call)).text


def test_what_a_unit_says_is_on_my_day_at_rest_too_and_is_settled_in_one_tap(
    call: Todo, sign_in: SignIn
):
    reply = make_todo(call.solicitation, call.owner, kind=TodoKind.REPLY, reason="“已经<捐>了”")
    call.solicitation.snoozed_until = TOMORROW
    make_gift(call.solicitation)
    client = sign_in(call.owner)
    page = client.get(day_of(call)).text
    assert "处理短信回复" in page
    assert "“已经&lt;捐&gt;了”" in page
    assert "打电话给联络员" not in page
    page = client.get(url(reply, "/{}")).text
    assert "没有答复" not in page
    assert "已处理" in page
    reply.due_on = YESTERDAY
    db.session.commit()
    assert reply.is_overdue(clock.today())


def test_the_leader_is_who_is_called_for_the_leaders_step(call: Todo, sign_in: SignIn):
    unit = call.solicitation.unit
    make_contact(unit, name="孙局长", role=ContactRole.LEADER, mobile="+8613987654321")
    make_todo(call.solicitation, call.owner, kind=TodoKind.LEADER)
    page = sign_in(call.owner).get(day_of(call)).text
    assert 'href="tel:+8613987654321"' in page
    assert "孙局长" in page


def test_a_call_is_settled_in_two_taps_and_leads_on_to_what_came_of_it(call: Todo, sign_in: SignIn):
    client = sign_in(call.owner)
    address = re.search(r'href="([^"]+/todos/\d+[^"]*)"', client.get(day_of(call)).text)[1]
    page = client.get(address).text
    action = re.search(r'action="([^"]+/settle[^"]*)"', page)[1]
    version = re.search(r'name="version" value="(\d+)"', page)[1]
    answer = client.post(
        action, data={"outcome": "settled", "version": version}, follow_redirects=True
    )
    unit_id = call.solicitation.unit_id
    for link in (f"/units/{unit_id}#pledge", f"/units/{unit_id}/visits/new", "#next-action"):
        assert link in answer.text
    assert "请接着记下谈的结果" in answer.text
    db.session.refresh(call)
    assert (call.outcome, call.settled_by_id) == (TodoOutcome.SETTLED, call.owner_id)
    assert call.solicitation.stage is Stage.CONTACTED


def test_no_answer_tells_what_comes_next_and_leads_back(call: Todo, sign_in: SignIn):
    data = {"outcome": "no_answer", "version": call.version, "note": "无人接听"}
    here = url(call, "/{}/settle") + f"?next={day_of(call)}"
    answer = sign_in(call.owner).post(here, data=data, follow_redirects=True)
    assert answer.request.path == day_of(call)
    assert "明早建议上门走访" in answer.text
    leader = make_todo(make_solicitation(), call.owner, kind=TodoKind.LEADER)
    answer = sign_in(call.owner).post(
        url(leader, "/{}/settle"), data={"outcome": "no_answer"}, follow_redirects=True
    )
    assert "下一步已列入待办：请会长对接" in answer.text


def test_of_two_who_settle_the_same_the_second_loses_no_word(call: Todo, sign_in: SignIn):
    mine, theirs = sign_in(make_user()), sign_in(call.owner)
    data = {"version": call.version, "outcome": "settled"}
    assert theirs.post(url(call, "/{}/settle"), data=data | {"note": "已谈妥"}).status_code == 302
    answer = mine.post(url(call, "/{}/settle"), data=data | {"note": "我打通了"})
    assert answer.status_code == 409
    for words in (
        "李向阳已办结这件事（有了答复）",
        "已谈妥",
        "您填写的内容",
        "我打通了",
        "还没有保存",
    ):
        assert words in answer.text
    db.session.refresh(call)
    assert call.note == "已谈妥"


def test_a_form_that_waited_on_a_phone_is_one_log_however_often_it_is_sent(
    call: Todo, sign_in: SignIn
):
    client = sign_in(call.owner)
    page = client.get(url(call, "/{}")).text
    data = {"version": call.version, "outcome": "settled", "note": "说定了"}
    data["client_key"] = re.search(r'name="client_key"[^>]* value="([^"]+)"', page)[1]
    for _time in range(3):
        answer = client.post(
            url(call, "/{}/settle"), data=data, headers={"Accept": "application/json"}
        )
        assert (answer.status_code, answer.get_json()) == (200, {"next": url(call, "/{}")})
    events = sa.select(sa.func.count(AuditEvent.id)).filter_by(action="settle.todo")
    assert db.session.scalar(events) == 1
    other = data | {"client_key": "another", "note": "再说一遍"}
    assert client.post(url(call, "/{}/settle"), data=other).status_code == 409


@pytest.mark.parametrize(("keys", "expected"), [("ab", [302, 409]), ("aa", [302, 302])])
def test_of_two_at_the_same_moment_one_wins_unless_they_are_the_same(
    app: Flask, call: Todo, sign_in: SignIn, keys: str, expected: list[int]
):
    clients = [sign_in(make_user()) for _ in range(2)]
    address, data = url(call, "/{}/settle"), {"version": call.version, "outcome": "no_answer"}
    barrier, codes = threading.Barrier(2), []

    def run(client, key: str) -> None:
        with app.app_context():
            barrier.wait()
            codes.append(client.post(address, data=data | {"client_key": key}).status_code)

    db.session.commit()
    threads = [threading.Thread(target=run, args=pair) for pair in zip(clients, keys, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == expected


def test_a_to_do_that_was_handed_over_meanwhile_is_settled_after_a_look(
    call: Todo, sign_in: SignIn
):
    client, colleague = sign_in(call.owner), make_user(name="陈思源")
    old = {"version": call.version, "outcome": "settled", "note": "说定了"}
    data = {"version": call.version, "owner_id": colleague.id, "due_on": "2026-10-22"}
    assert client.post(url(call, "/{}/hand-over"), data=data).status_code == 302
    answer = client.post(url(call, "/{}/settle"), data=old)
    assert answer.status_code == 409
    assert "说定了" in answer.text
    new = old | {"version": re.search(r'name="version" value="(\d+)"', answer.text)[1]}
    assert client.post(url(call, "/{}/settle"), data=new).status_code == 302
    db.session.refresh(call)
    assert (call.owner_id, call.due_on) == (colleague.id, date(2026, 10, 22))
    assert call.note == "说定了"


def test_what_is_missing_is_said_and_nothing_changes(call: Todo, sign_in: SignIn):
    client = sign_in(call.owner)
    refused = client.post(url(call, "/{}/drop"), data={"version": call.version})
    assert (refused.status_code, "请填写不必办的原因。" in refused.text) == (422, True)
    long = {"version": call.version, "outcome": "settled", "note": "长" * 501}
    refused = client.post(url(call, "/{}/settle"), data=long)
    assert (refused.status_code, "最多 500 个字。" in refused.text) == (422, True)
    assert "长" * 501 in refused.text
    assert client.post(url(call, "/{}/settle"), data={"note": "x"}).status_code == 422
    stranger = make_user(Role.AUDITOR)
    data = {"owner_id": stranger.id, "due_on": "2026-10-22"}
    assert client.post(url(call, "/{}/hand-over"), data=data).status_code == 422
    late = {"owner_id": call.owner_id, "due_on": "2026-10-01"}
    refused = client.post(url(call, "/{}/hand-over"), data=late)
    assert (refused.status_code, "期限不能早于今天。" in refused.text) == (422, True)
    db.session.refresh(call)
    assert call.is_open


def test_a_to_do_is_dropped_with_its_reason(call: Todo, sign_in: SignIn):
    client = sign_in(call.owner)
    data = {"version": call.version, "reason": "对方已来电说定"}
    assert client.post(url(call, "/{}/drop"), data=data).status_code == 302
    page = client.get(url(call) + "?view=done").text
    assert "不必办" in page
    assert "对方已来电说定" in page
    assert "不必办" in client.get(url(call, "/{}")).text


def test_a_search_offers_to_register_the_new_coordinator_and_ends_with_it(
    call: Todo, sign_in: SignIn
):
    search = make_todo(call.solicitation, call.owner, kind=TodoKind.FIND_CONTACT)
    client = sign_in(call.owner)
    page = client.get(url(search, "/{}")).text
    assert "没有答复" not in page
    form = re.search(r'href="(/units/\d+/contacts/new\?next=[^"]+)"', page)[1]
    person = {"name": "王敏", "role": "coordinator", "valid_from": "2026-10-20"}
    answer = client.post(form, data=person | {"mobile": "13873419876"}, follow_redirects=True)
    assert answer.request.path == url(search, "/{}")
    assert "已登记联络员王敏" in answer.text
    db.session.refresh(search)
    assert search.status is TodoStatus.DONE


def test_the_list_is_filtered_by_whose_it_is_its_day_and_its_kind(app: Flask, sign_in: SignIn):
    campaign, user = make_campaign(), make_user()
    sector = make_sector(campaign)
    names = ("甲", "乙", "丙", "丁")
    mine, late, _nobodys, done = (
        make_todo(make_solicitation(campaign, sector, unit=make_unit(name=f"{name}局")), owner)
        for name, owner in zip(names, (user, make_user(), None, user), strict=True)
    )
    late.due_on, late.kind = YESTERDAY, TodoKind.LEADER
    db.session.commit()
    services.settle(done, outcome=TodoOutcome.NO_ANSWER, by=user)
    db.session.commit()
    client = sign_in(user)

    def shown(query: str) -> str:
        text = client.get(f"{url(mine)}{query}").text
        return "".join(name for name in names if f"{name}局" in text)

    assert shown("") == "甲"
    assert shown("?view=all") == "甲乙丙"
    assert shown("?view=overdue") == "乙"
    assert shown("?view=done") == "丁"
    assert shown("?view=all&kind=call") == "甲丙"
    assert shown("?view=nonsense&kind=nonsense&page=0") == "甲"
    assert "待分派" in client.get(f"{url(mine)}?view=all").text


@pytest.mark.parametrize("view", ["mine", "overdue", "done", "all", "all&kind=president"])
def test_an_empty_list_says_what_it_is_for(app: Flask, sign_in: SignIn, view: str):
    page = sign_in().get(f"/c/{make_campaign().code}/todos?view={view}").text
    assert "empty-title" in page


def test_an_auditor_reads_and_changes_nothing(call: Todo, sign_in: SignIn):
    client = sign_in(Role.AUDITOR)
    assert "衡阳市气象局" in client.get(url(call)).text
    page = client.get(url(call, "/{}")).text
    assert "137****5678" in page
    assert "有了答复" not in page
    for path in ("settle", "drop", "hand-over"):
        assert client.post(url(call, f"/{{}}/{path}")).status_code == 403


def test_a_liaison_sees_the_own_sector_only(call: Todo, sign_in: SignIn):
    own = call.solicitation.sector
    other = make_sector(call.solicitation.campaign)
    inside = sign_in(make_user(Role.LIAISON, (own,)))
    outside = sign_in(make_user(Role.LIAISON, (other,)))
    assert "衡阳市气象局" in inside.get(url(call)).text
    assert inside.get(url(call, "/{}")).status_code == 200
    assert "衡阳市气象局" not in outside.get(url(call)).text
    assert outside.get(url(call, "/{}")).status_code == 404
    assert inside.post(url(call, "/{}/settle"), data={"outcome": "settled"}).status_code == 403


def test_a_to_do_of_another_campaign_is_not_found(call: Todo, sign_in: SignIn):
    other, client = make_campaign(), sign_in()
    assert client.get(f"/c/{other.code}/todos/{call.id}").status_code == 404
    for path in ("settle", "drop", "hand-over"):
        assert client.post(f"/c/{other.code}/todos/{call.id}/{path}").status_code == 404


def test_the_unit_page_shows_what_is_to_be_done_and_what_came_of_it(call: Todo, sign_in: SignIn):
    make_todo(
        call.solicitation,
        call.owner,
        kind=TodoKind.LEADER,
        status=TodoStatus.DONE,
        outcome=TodoOutcome.NO_ANSWER,
        note="领导出差",
        settled_at=clock.now(),
    )
    page = sign_in().get(f"/c/{call.solicitation.campaign.code}/units/{call.solicitation.unit_id}")
    assert page.text.count("打电话给联络员") == 2
    assert "与分管领导沟通：没有答复" in page.text
    assert "领导出差" in page.text


def test_the_work_list_shows_to_dos_and_can_be_narrowed_to_them(call: Todo, sign_in: SignIn):
    campaign = call.solicitation.campaign
    make_solicitation(campaign, call.solicitation.sector, unit=make_unit(name="衡阳市档案馆"))
    client = sign_in()
    page = client.get(f"/c/{campaign.code}/worklist").text
    assert "打电话给联络员" in page
    assert "衡阳市档案馆" in page
    page = client.get(f"/c/{campaign.code}/worklist?todo=1").text
    assert "衡阳市气象局" in page
    assert "衡阳市档案馆" not in page


def test_overdue_to_dos_and_those_for_the_president_are_decisions(call: Todo, sign_in: SignIn):
    campaign = call.solicitation.campaign

    def count() -> dict[DecisionKind, int]:
        return count_decisions(campaign, clock.now(), clock.now())

    assert count() == {}
    call.due_on = YESTERDAY
    db.session.commit()
    make_todo(call.solicitation, kind=TodoKind.PRESIDENT, due_on=YESTERDAY)
    assert count() == {DecisionKind.PRESIDENT_TODO: 1, DecisionKind.OVERDUE_TODO: 1}
    page = sign_in(Role.SECRETARY_GENERAL).get(f"/c/{campaign.code}/").text
    assert f"{url(call)}?view=overdue" in page
    assert "请会长对接的单位" in page
    make_gift(call.solicitation)
    assert count() == {}


@pytest.mark.parametrize("path", ["my-day", "todos", "worklist"])
def test_the_number_of_queries_does_not_depend_on_the_number_of_to_dos(
    call: Todo, sign_in: SignIn, path: str
):
    campaign, client = call.solicitation.campaign, sign_in(call.owner)
    counts = []
    for _ in range(2):
        client.get(f"/c/{campaign.code}/{path}")
        with noting_statements() as statements:
            client.get(f"/c/{campaign.code}/{path}")
        counts.append(len(statements))
        for _ in range(3):
            make_todo(make_solicitation(campaign, call.solicitation.sector), call.owner)
    assert counts[0] == counts[1]
