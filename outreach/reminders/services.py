"""The life of a wave, from draft to its last message. Every change of `Wave.status` that a person
or the clock makes goes through `_move`; the outbox finishes waves and pauses failing ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock, workdays
from outreach.access import DECIDERS
from outreach.accounts.models import User
from outreach.campaigns.gate import may_write
from outreach.campaigns.models import Campaign
from outreach.db import db, insert_new
from outreach.errors import Conflict, Forbidden, NotFound, Refused
from outreach.messages import linting, outbox, queueing, self_sends, waves
from outreach.messages.models import Purpose, TemplateVersion, Wave, WaveStatus
from outreach.messages.queueing import Draft
from outreach.reminders import catching_up, corrections
from outreach.reminders.approval import hash_approval
from outreach.reminders.audience import AudienceFilter, Member, spare_shared
from outreach.reminders.models import WaveMember
from outreach.reminders.queries import (
    choose_members,
    preview_wave,
    restore_members,
    write_letters,
)
from outreach.reminders.rendering import (
    Letter,
    Preview,
    find_obstacle,
    without_links,
)

LATE = timedelta(hours=2)
"""A wave that comes due later than this waits for a person: its text may be out of date."""
LONGEST_REASON = 200
LONGEST_NAME = 120
WORKDAYS_TO_SEND = 3
"""After the start, until which messages may still go out, unless a person says otherwise."""

TRANSITIONS: dict[WaveStatus, frozenset[WaveStatus]] = {
    WaveStatus.DRAFT: frozenset({WaveStatus.DRAFT, WaveStatus.IN_REVIEW, WaveStatus.CANCELLED}),
    WaveStatus.IN_REVIEW: frozenset({WaveStatus.DRAFT, WaveStatus.APPROVED, WaveStatus.CANCELLED}),
    WaveStatus.APPROVED: frozenset(
        {WaveStatus.DRAFT, WaveStatus.RUNNING, WaveStatus.HELD, WaveStatus.CANCELLED}
    ),
    WaveStatus.HELD: frozenset({WaveStatus.DRAFT, WaveStatus.RUNNING, WaveStatus.CANCELLED}),
    WaveStatus.RUNNING: frozenset({WaveStatus.PAUSED, WaveStatus.FINISHED, WaveStatus.CANCELLED}),
    WaveStatus.PAUSED: frozenset({WaveStatus.RUNNING, WaveStatus.FINISHED, WaveStatus.CANCELLED}),
    WaveStatus.FINISHED: frozenset(),
    WaveStatus.CANCELLED: frozenset(),
}
"""Where a wave may go from each state; an edit leads back to the draft."""


@dataclass(frozen=True)
class WavePlan:
    """What a person decides about a wave."""

    name: str
    version: TemplateVersion
    audience: AudienceFilter
    starts_at: datetime
    not_after: datetime
    fallback: TemplateVersion | None = None
    """The text for the other channel."""


def default_end(starts_at: datetime) -> datetime:
    """The last moment of a wave for which nobody chose one. Working days, since messages go out on
    those: three days of the calendar are over before a holiday is."""
    day = clock.day_of(starts_at)
    try:
        last_day = workdays.add_workdays(day, WORKDAYS_TO_SEND)
    except workdays.CalendarUnknown:
        last_day = day + timedelta(days=WORKDAYS_TO_SEND)
    return clock.end_of(last_day)


def create_wave(
    campaign: Campaign, plan: WavePlan, *, author: User, corrects: Wave | None = None
) -> Wave:
    _check_plan(plan)
    wave = Wave(
        campaign_id=campaign.id,
        purpose=Purpose.CORRECTION if corrects else Purpose.REMINDER,
        correction_of_id=corrects.id if corrects else None,
        author_id=author.id,
        created_at=clock.now(),
        status=WaveStatus.DRAFT,
        **_columns(plan),
    )
    db.session.add(wave)
    db.session.flush()
    audit.record("create.wave", f"wave:{wave.id}", name=wave.name, corrects=wave.correction_of_id)
    return wave


def create_correction(wrong: Wave, plan: WavePlan, *, author: User) -> Wave:
    """A wave for exactly those whom the wrong one reached; it is approved like any other."""
    _lock(wrong)
    if wrong.status not in corrections.OVER:
        raise Refused(_("这个批次还会继续发送。请先取消它，余下的不再发出，再写更正。"))
    if not corrections.has_reached(wrong):
        raise Refused(_("这个批次没有发到任何人，不需要更正。"))
    if corrections.find_open_correction(wrong) is not None:
        raise Refused(_("这个批次已有更正。请在那一批里修改，或先取消它。"))
    if not corrections.count_owed(wrong):
        raise Refused(_("这个批次已有更正，收到过的人都已收到或可能收到更正，不再发第二次。"))
    _check_texts(wrong, plan.version, plan.fallback)
    return create_wave(_campaign(wrong), plan, author=author, corrects=wrong)


def catch_up(wave: Wave, *, author: User) -> Wave:
    """A draft of the same words for those whom the wave missed and who may be written to now."""
    now = clock.now()
    _lock(wave)
    missed = catching_up.find_missed_by(wave, now)
    if not missed:
        raise Refused(_("现在没有可以补发的单位，可能已有人起草。请刷新页面。"))
    ids = [member.solicitation.id for member in missed]
    plan = WavePlan(
        name=str(_("补发：%(name)s", name=wave.name))[:LONGEST_NAME],
        version=wave.template_version,
        audience=catching_up.audience_for(wave, ids),
        starts_at=now,
        not_after=default_end(now),
        fallback=wave.fallback_version,
    )
    return create_wave(_campaign(wave), plan, author=author)


def _lock(wave: Wave) -> None:
    """Of two who write what follows from a wave, the second finds the draft of the first."""
    db.session.execute(sa.select(Wave.id).where(Wave.id == wave.id).with_for_update())
    db.session.refresh(wave, ["status"])


def propose_wave(
    campaign: Campaign, plan: WavePlan, *, author_id: int, purpose: Purpose, key: str
) -> bool:
    """A draft that a rule writes for `author_id`; False when `key` was proposed before."""
    _check_plan(plan)
    row = {
        "campaign_id": campaign.id,
        "purpose": purpose,
        "proposal_key": key,
        "author_id": author_id,
        "created_at": clock.now(),
        "status": WaveStatus.DRAFT,
        "version": 1,
        **_columns(plan),
    }
    if not insert_new(Wave, [row], ["proposal_key"]):
        return False
    wave_id = db.session.scalar(sa.select(Wave.id).filter_by(proposal_key=key))
    audit.record("propose.wave", f"wave:{wave_id}", name=plan.name)
    return True


def update_wave(wave: Wave, plan: WavePlan, *, by: User) -> None:
    """Any edit voids the submission and the approval. Whoever wrote the wave last is its author,
    so that nobody approves words of their own."""
    _check_plan(plan)
    if wave.correction_of is not None:
        _check_texts(wave.correction_of, plan.version, plan.fallback)
    _forget_members(wave)
    _move(wave, WaveStatus.DRAFT, author_id=by.id, **_columns(plan), **_NOT_APPROVED)
    audit.record("update.wave", f"wave:{wave.id}", name=wave.name)


def submit_wave(wave: Wave, *, by: User) -> None:
    """Freezes the audience: the approval is for exactly these contacts and addresses."""
    if wave.correction_of is not None:
        _check_texts(wave.correction_of, wave.template_version, wave.fallback_version)
    _check_sendable(wave)
    members = choose_members(wave)
    # Who might approve stays the author of their own words, whoever submits them.
    author = db.session.get_one(User, wave.author_id)
    author = author if author.role in DECIDERS else by
    _check_ready(write_letters(wave, members, author))
    _move(wave, WaveStatus.IN_REVIEW, author_id=author.id, paused_because="")
    _forget_members(wave)
    _freeze(wave, members)
    audit.record("submit.wave", f"wave:{wave.id}", units=len(members))


def return_wave(wave: Wave, *, reason: str) -> None:
    """Sends a submitted wave back to its author."""
    if wave.status is not WaveStatus.IN_REVIEW:
        raise Refused(_("这个批次不在待审批状态。"))
    _forget_members(wave)
    _move(wave, WaveStatus.DRAFT, paused_because=reason, **_NOT_APPROVED)
    audit.record("return.wave", f"wave:{wave.id}", reason=reason)


def approve_wave(wave: Wave, *, by: User) -> None:
    """Binds the approval to text, audience and schedule. When the planned time has passed, the
    wave starts now, which is then what was approved."""
    if by.role not in DECIDERS:
        raise Forbidden(_("只有秘书长和管理员可以审批。"))
    if by.id == wave.author_id:
        raise Refused(_("提醒须由另一人审批：起草或提交的人不能批准自己的批次。"))
    now = clock.now()
    starts_at = max(wave.starts_at, now)
    if wave.not_after <= starts_at:
        raise Refused(_("最迟发送时间已过。请退回，由起草人重新安排时间。"))
    _check_sendable(wave)
    _check_ready(preview_wave(wave))
    _move(
        wave,
        WaveStatus.APPROVED,
        approver_id=by.id,
        approved_at=now,
        starts_at=starts_at,
        approval_hash=hash_approval(wave, starts_at=starts_at),
    )
    audit.record("approve.wave", f"wave:{wave.id}", hash=wave.approval_hash)


def start_wave(wave: Wave) -> int:
    """Queues the messages in the caller's transaction and returns how many. Refused before the
    approved time, and when text or audience are not those that were approved."""
    now = clock.now()
    return _start(wave, now)


def start_due_waves() -> int:
    """Starts the approved waves whose time has come and returns how many; holds those that come
    late, that fall on a day the calendar does not know, or that are not as approved. Any number
    of processes may call it at once."""
    now = clock.now()
    # All are locked before the first is audited: a person locks a wave and then audits, too. One
    # that somebody has in hand is for the next run.
    due = (
        sa.select(Wave)
        .where(Wave.status == WaveStatus.APPROVED, Wave.starts_at <= now)
        .order_by(Wave.starts_at, Wave.id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    started = 0
    for wave in db.session.scalars(due).all():
        try:
            _start_or_hold(wave, now)
            started += wave.status is WaveStatus.RUNNING
        except Conflict:
            continue  # another process was faster
    return started


def pause_wave(wave: Wave, *, by: User) -> None:
    """No further message is claimed; those that are being sent arrive."""
    is_decided = by.role in DECIDERS
    reason = _("由%(name)s暂停，须由秘书长或管理员继续") if is_decided else _("由%(name)s暂停")
    values = {"paused_because": str(reason) % {"name": by.name}, "paused_by_id": by.id}
    _move(wave, WaveStatus.PAUSED, **values)
    audit.record("pause.wave", f"wave:{wave.id}")


def may_resume(wave: Wave, by: User) -> bool:
    """What somebody who decides has stopped, staff do not set going again."""
    paused_by = db.session.get(User, wave.paused_by_id) if wave.paused_by_id else None
    return by.role in DECIDERS or paused_by is None or paused_by.role not in DECIDERS


def resume_wave(wave: Wave, *, by: User) -> None:
    if not may_resume(wave, by):
        raise Forbidden(_("这个批次是秘书长或管理员暂停的，须由他们继续。"))
    _move(wave, WaveStatus.RUNNING, paused_because="", paused_by_id=None)
    audit.record("resume.wave", f"wave:{wave.id}")


def cancel_wave(wave: Wave) -> int:
    """Gives up what was not sent yet and returns how many messages that were."""
    _move(wave, WaveStatus.CANCELLED, finished_at=clock.now())
    count = outbox.cancel_queued(wave.id)
    audit.record("cancel.wave", f"wave:{wave.id}", messages=count)
    return count


def send_test(wave: Wave, solicitation_id: int | None, *, to: User) -> bool:
    """Sends the letter about this unit, or the longest one, to `to`; False when it went out to
    them in this minute already."""
    if wave.started_at is not None or wave.status is WaveStatus.CANCELLED:
        raise Refused(_("这个批次已经发出或取消，不能再试发。"))
    letter = without_links(_pick_letter(preview_wave(wave), solicitation_id))
    about = f"wave:{wave.id}:{wave.version}:{letter.recipient.solicitation_ids[0]}"
    is_new = self_sends.queue_test(letter, about=about, to=to)
    if is_new:
        subject = letter.recipient.solicitation_ids[0]
        audit.record("test.wave", f"wave:{wave.id}", solicitation=subject)
    return is_new


def _pick_letter(letters: Preview, solicitation_id: int | None) -> Letter:
    if not letters.letters:
        raise Refused(_("没有收件人，也就没有可以试发的信。"))
    if solicitation_id is None:
        return letters.longest
    about = (one for one in letters.letters if solicitation_id in one.recipient.solicitation_ids)
    letter = next(about, None)
    if letter is None:
        raise NotFound(_("名单里没有这家单位，可能刚有变化。请刷新页面。"))
    return letter


def may_be_corrected(wave: Wave) -> bool:
    """Whether something of the wave went out, and nobody has put it right yet, or not for all."""
    if wave.started_at is None or corrections.find_open_correction(wave) is not None:
        return False
    return waves.find_correction(wave) is None or bool(corrections.count_owed(wave))


def may_become(wave: Wave, status: WaveStatus) -> bool:
    return status in TRANSITIONS[wave.status]


def read_audience(wave: Wave) -> AudienceFilter:
    return AudienceFilter.model_validate(wave.audience)


_NOT_APPROVED = {"approver_id": None, "approved_at": None, "approval_hash": None}


def _move(wave: Wave, to: WaveStatus, **values: Any) -> None:
    """The only writer of a wave's status here. The state and version that were read are part of
    the statement, so that of two at once one wins; Conflict for the other."""
    if to not in TRANSITIONS[wave.status]:
        raise Refused(
            _("“%(status)s”的批次不能这样操作。请刷新页面查看最新状态。", status=wave.status.label)
        )
    moved = db.session.scalar(
        sa.update(Wave)
        .where(Wave.id == wave.id, Wave.status == wave.status, Wave.version == wave.version)
        .values(status=to, version=Wave.version + 1, **values)
        .returning(Wave.id)
        .execution_options(synchronize_session=False)
    )
    db.session.refresh(wave)
    if moved is None:
        raise Conflict(_("这个批次刚被他人修改。请核对最新内容后再操作。"))


def _check_plan(plan: WavePlan) -> None:
    if plan.not_after <= plan.starts_at:
        raise Refused(_("最迟发送时间必须晚于开始时间。"))
    if plan.not_after <= clock.now():
        raise Refused(_("最迟发送时间已过。请选择今天或以后的日期。"))
    if plan.fallback and plan.fallback.template.channel is plan.version.template.channel:
        raise Refused(_("两份文字是同一渠道的。备用文字请选另一渠道的模板。"))


def _check_sendable(wave: Wave) -> None:
    obstacle = find_obstacle(wave)
    if obstacle:
        raise Refused(obstacle)


def _check_texts(wrong: Wave, version: TemplateVersion, other: TemplateVersion | None) -> None:
    """A correction has other words than what it puts right, and a text for each channel over which
    that reached somebody."""
    texts = [text for text in (version, other) if text is not None]
    if {text.id for text in texts} & {wrong.template_version_id, wrong.fallback_version_id}:
        raise Refused(_("这就是发错的那份文字。请先写好更正的模板，再选它。"))
    channels = [text.template.channel for text in texts]
    for channel, count in corrections.count_unwritten(wrong, channels).items():
        raise Refused(
            _(
                "有 %(count)s 位收件人是经%(channel)s收到的。请再选一份%(channel)s的更正文字。",
                count=count,
                channel=channel.label,
            )
        )


def _columns(plan: WavePlan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "template_version_id": plan.version.id,
        "fallback_version_id": plan.fallback.id if plan.fallback else None,
        "audience": plan.audience.model_dump(mode="json"),
        "starts_at": plan.starts_at,
        "not_after": plan.not_after,
        "paused_because": "",
    }


def _check_ready(letters: Preview) -> None:
    if not letters.letters and letters.purpose is Purpose.CORRECTION:
        raise Refused(_("收到过那一批的人都已退订，没有可以更正的收件人。请电话说明。"))
    if not letters.letters:
        raise Refused(_("没有可以发送的收件人。请放宽范围，或先补全联络员的联系方式。"))
    refusals = linting.refusals(letters.findings)
    if refusals:
        raise Refused(refusals[0].message)


def _freeze(wave: Wave, members: list[Member]) -> None:
    db.session.add_all(
        WaveMember(
            wave_id=wave.id,
            solicitation_id=member.solicitation.id,
            contact_id=member.contact.id if member.contact and not member.withheld else None,
            channel=member.way.channel,
            address_hash="" if member.withheld else member.address_hash,
            fallback_hash=member.second.address_hash
            if member.second and not member.withheld
            else "",
            withheld_reason=member.withheld.reason if member.withheld else None,
            facts=member.withheld.facts if member.withheld else {},
        )
        for member in members
    )
    db.session.flush()


def _forget_members(wave: Wave) -> None:
    db.session.execute(sa.delete(WaveMember).where(WaveMember.wave_id == wave.id))


def _start_or_hold(wave: Wave, now: datetime) -> None:
    try:
        _check_punctual(wave, now)
        _start(wave, now)
    except Refused as refusal:
        reason = _shorten(str(refusal.message))
        _move(wave, WaveStatus.HELD, paused_because=reason)
        audit.record("hold.wave", f"wave:{wave.id}", reason=reason)


def _shorten(reason: str) -> str:
    """A refusal may name units; the column of the wave takes so much of it."""
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 1] + "…"


def _check_punctual(wave: Wave, now: datetime) -> None:
    """What makes the clock leave a due wave to a person."""
    if now - wave.starts_at > LATE:
        raise Refused(_("到点时系统未能启动，已晚了两个多小时。请确认内容仍然合适后放行。"))
    try:
        workdays.is_workday(clock.day_of(now))
    except workdays.CalendarUnknown as unknown:
        raise Refused(
            _("系统没有 %(year)s 年的节假日安排。请在设置中补全后放行。", year=unknown.year)
        ) from None


def _check_startable(wave: Wave, now: datetime) -> None:
    if now < wave.starts_at:
        raise Refused(_("还没有到批准的发送时间。"))
    if now >= wave.not_after:
        raise Refused(_("已过最迟发送时间。请修改时间后重新提交审批。"))
    _check_sendable(wave)
    if not may_write(wave.purpose, _campaign(wave).status):
        raise Refused(_("活动未在进行，不能发送提醒。"))
    if wave.approval_hash is None or wave.approval_hash != hash_approval(wave):
        raise Refused(_("内容或名单与批准时不一致，不能发送。请修改后重新提交审批。"))


def _start(wave: Wave, now: datetime) -> int:
    """Refused before anything is written; then status and messages in one transaction."""
    _check_startable(wave, now)
    members = spare_shared(_campaign(wave), restore_members(wave), wave.purpose)
    letters = write_letters(wave, members, db.session.get_one(User, wave.author_id))
    _check_ready(letters)
    _move(wave, WaveStatus.RUNNING, started_at=now, paused_because="")
    _note_left_out(wave, letters.left_out)
    count = queueing.materialise(wave, [draft_letter(letter) for letter in letters.letters])
    audit.record("start.wave", f"wave:{wave.id}", messages=count)
    return count


def _note_left_out(wave: Wave, left_out: list[Member]) -> None:
    for member in left_out:
        if member.withheld is not None:
            db.session.execute(
                sa.update(WaveMember)
                .where(
                    WaveMember.wave_id == wave.id,
                    WaveMember.solicitation_id == member.solicitation.id,
                    WaveMember.contact_id == (member.contact.id if member.contact else None),
                    WaveMember.withheld_reason.is_(None),
                )
                .values(withheld_reason=member.withheld.reason, facts=member.withheld.facts)
            )


def draft_letter(letter: Letter) -> Draft:
    recipient, rendered = letter.recipient, letter.rendered
    return Draft(
        channel=recipient.channel,
        contact_id=recipient.contact.id,
        address=recipient.address,
        recipient_name=recipient.contact.name,
        subject=rendered.subject,
        body_text=rendered.text,
        reply_to=letter.reply_to,
        solicitation_ids=recipient.solicitation_ids,
        provider_template=letter.version.provider_template,
        variables=letter.variables,
    )


def _campaign(wave: Wave) -> Campaign:
    return db.session.get_one(Campaign, wave.campaign_id)
