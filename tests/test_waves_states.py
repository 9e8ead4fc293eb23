"""Whatever people and the clock do, in whatever order, a wave keeps its promises."""

from collections.abc import Callable

import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.errors import OutreachError
from outreach.messages import waves
from outreach.messages.models import Message, TemplateVersion, Wave, WaveStatus
from outreach.reminders import services
from outreach.reminders.approval import hash_approval
from outreach.reminders.services import TRANSITIONS, create_wave
from tests.factories import (
    make_campaign,
    make_solicitation,
    make_template,
    make_user,
    open_sending,
)
from tests.test_waves import make_plan

NOT_APPROVED = {WaveStatus.DRAFT, WaveStatus.IN_REVIEW}
HAS_BEGUN = {WaveStatus.RUNNING, WaveStatus.PAUSED, WaveStatus.FINISHED}

Action = Callable[[Wave, TemplateVersion, User], object]
ACTIONS: dict[str, Action] = {
    "edit": lambda wave, version, user: services.update_wave(wave, make_plan(version), by=user),
    "submit": lambda wave, _version, user: services.submit_wave(wave, by=user),
    "return": lambda wave, _version, _user: services.return_wave(wave, reason="改"),
    "approve": lambda wave, _version, user: services.approve_wave(wave, by=user),
    "clock": lambda _wave, _version, _user: services.start_due_waves(),
    "start": lambda wave, _version, _user: services.start_wave(wave),
    "pause": lambda wave, _version, user: services.pause_wave(wave, by=user),
    "resume": lambda wave, _version, user: services.resume_wave(wave, by=user),
    "cancel": lambda wave, _version, _user: services.cancel_wave(wave),
    "finish": lambda _wave, _version, _user: waves.finish_waves(),
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 1)), min_size=4, max_size=14
)
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_a_wave_moves_only_along_the_table_and_never_unapproved(app: Flask):
    open_sending()
    campaign, version = make_campaign(), make_template()
    make_solicitation(campaign)
    users = make_user(Role.SECRETARY_GENERAL), make_user(Role.SECRETARY_GENERAL)

    @FEW
    @given(steps=STEPS)
    def walk(steps: list[tuple[str, int]]) -> None:
        wave = make_draft(campaign, version, users[0])
        for name, who in steps:
            before = wave.status
            take_step(wave, ACTIONS[name], version, users[who])
            check_promises(wave, before)

    walk()


def make_draft(campaign: Campaign, version: TemplateVersion, author: User) -> Wave:
    wave = create_wave(campaign, make_plan(version), author=author)
    db.session.commit()
    return wave


def take_step(wave: Wave, action: Action, version: TemplateVersion, user: User) -> None:
    try:
        action(wave, version, user)
    except OutreachError:
        db.session.rollback()
    db.session.commit()
    db.session.refresh(wave)


def check_promises(wave: Wave, before: WaveStatus) -> None:
    assert wave.status is before or wave.status in TRANSITIONS[before]
    messages = db.session.scalar(
        sa.select(sa.func.count()).select_from(Message).filter_by(wave_id=wave.id)
    )
    assert messages <= 1
    if wave.status in NOT_APPROVED:
        assert (wave.approver_id, wave.approved_at, wave.approval_hash) == (None, None, None)
        assert messages == 0
    if wave.status in HAS_BEGUN:
        assert messages == 1
        assert wave.approver_id not in {None, wave.author_id}
        assert wave.approval_hash == hash_approval(wave)


def test_every_state_can_be_left_until_the_wave_is_over():
    over = {status for status, onward in TRANSITIONS.items() if not onward}
    assert over == {WaveStatus.FINISHED, WaveStatus.CANCELLED}
    assert set(TRANSITIONS) == set(WaveStatus)
    for status in set(WaveStatus) - over:
        assert WaveStatus.CANCELLED in TRANSITIONS[status]
