"""The outbox and what governs it. A message row is the truth about one message to one address.

`Message.status` is written by `states.py` alone (a test looks for other writers). The states and
their guards are in docs/architecture.md, «The life of a message».
"""

from datetime import datetime, time
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.db import Base, PrimaryKey
from outreach.terms import Term


class Channel(Term):
    EMAIL = "email", _("邮件")
    SMS = "sms", _("短信")
    WECOM = "wecom", _("企业微信群")


TO_ONE_PERSON = (Channel.EMAIL, Channel.SMS)
"""Channels by which one person is written to; a group is written to as a whole."""


class Purpose(Term):
    REMINDER = "reminder", _("提醒")
    CORRECTION = "correction", _("更正")
    """Goes to exactly those whom a wrong wave reached, whatever has happened since."""
    THANKS = "thanks", _("感谢")
    RELAY = "relay", _("联络信息核对")
    """Asks a unit, before the campaign begins, who answers for it; asks for no gift."""
    INVITATION = "invitation", _("会议通知")
    MINUTES = "minutes", _("会议纪要")
    DIGEST = "digest", _("周报")
    TEST = "test", _("测试")
    ACCOUNT = "account", _("账号")


class MessageStatus(Term):
    QUEUED = "queued", _("待发")
    """May carry a lease (`token`, `lease_until`): a worker has it, and nothing was sent yet."""
    SENDING = "sending", _("发送中")
    SENT = "sent", _("已发出")
    DELIVERED = "delivered", _("已送达")
    UNKNOWN = "unknown", _("结果不明")
    """The provider may or may not have accepted it; a person decides."""
    FAILED = "failed", _("发送失败")
    WITHHELD = "withheld", _("未发（已拦下）")
    EXPIRED = "expired", _("过期未发")
    CANCELLED = "cancelled", _("已取消")


OPEN_STATUSES = (MessageStatus.QUEUED, MessageStatus.SENDING)
"""A wave with such a row can still run."""
MAYBE_GONE = (MessageStatus.SENDING, MessageStatus.UNKNOWN)
"""What may have arrived counts against caps, rates and budget as if it had."""


class FailureKind(Term):
    REJECTED = "rejected", _("对方拒收")
    BOUNCED = "bounced", _("退信")
    EXHAUSTED = "exhausted", _("多次重试未成功")


class WithheldReason(Term):
    """Why the send gate said no. The order in which they are asked is that of the gate's list of
    checks, in app.py."""

    ALREADY_GIVEN = "already_given", _("已到账")
    PARTLY_GIVEN = "partly_given", _("本周已有部分到账")
    PLEDGE_NOT_DUE = "pledge_not_due", _("已认捐、未到期")
    DECLINED = "declined", _("已婉拒")
    EXEMPT = "exempt", _("本年度免劝募")
    SNOOZED = "snoozed", _("暂缓联系")
    OPTED_OUT = "opted_out", _("对方已退订")
    NO_ADDRESS = "no_address", _("没有可用的联系方式")
    CONTACT_LEFT = "contact_left", _("联络员已离任")
    CONTACT_CAP = "contact_cap", _("近期已提醒过该联络员")
    UNIT_CAP = "unit_cap", _("本年度提醒次数已满")
    UNIT_GAP = "unit_gap", _("刚提醒过该单位")
    NOT_IN_AUDIENCE = "not_in_audience", _("不在批准的名单内")
    CAMPAIGN_CLOSED = "campaign_closed", _("活动未在进行")
    UNMATCHED_LINE = "unmatched_line", _("有待认领的到账可能是该单位的")
    UNREAD_REPLY = "unread_reply", _("对方的回复还没有人看")
    DEAD_ADDRESS = "dead_address", _("该地址曾被退回")
    PROVIDER_RULE = "provider_rule", _("短信平台不允许")
    NOTHING_GIVEN = "nothing_given", _("没有可致谢的到账")


class Template(Base):
    __tablename__ = "template"

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(sa.String(60), unique=True)
    channel: Mapped[Channel]
    is_archived: Mapped[bool] = mapped_column(default=False)

    versions: Mapped[list["TemplateVersion"]] = relationship(
        back_populates="template", order_by="TemplateVersion.number"
    )


class TemplateVersion(Base):
    """One wording. A version is never edited: approvals refer to it."""

    __tablename__ = "template_version"
    __table_args__ = (sa.UniqueConstraint("template_id", "number"),)

    id: Mapped[PrimaryKey]
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("template.id"))
    number: Mapped[int]
    subject: Mapped[str] = mapped_column(sa.String(120), default="")
    body: Mapped[str] = mapped_column(sa.Text)
    """Text with ((占位符)); the HTML part of an e-mail is made from it."""
    provider_template: Mapped[str] = mapped_column(sa.String(40), default="")
    """Of a text message: the number under which the provider has approved this wording."""
    created_at: Mapped[datetime]
    created_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    template: Mapped[Template] = relationship(back_populates="versions")


class WaveStatus(Term):
    DRAFT = "draft", _("草稿")
    IN_REVIEW = "in_review", _("待审批")
    APPROVED = "approved", _("已批准")
    RUNNING = "running", _("发送中")
    PAUSED = "paused", _("已暂停")
    HELD = "held", _("待人工放行")
    FINISHED = "finished", _("已完成")
    CANCELLED = "cancelled", _("已取消")


class Wave(Base):
    """A batch of messages that a second person approved: audience, text and window. Its row is
    here and not in `reminders`, because whether it runs is part of every claim."""

    __tablename__ = "wave"
    __table_args__ = (
        sa.CheckConstraint("approver_id IS NULL OR approver_id <> author_id", "second_person"),
        sa.CheckConstraint("not_after > starts_at", "period"),
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"), index=True)
    purpose: Mapped[Purpose] = mapped_column(default=Purpose.REMINDER)
    correction_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("wave.id"), index=True)
    """The wave that this one puts right."""
    proposal_key: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    """What a rule proposed it for («rule:3:sector:7:2026-W43»): nothing is proposed twice."""
    name: Mapped[str] = mapped_column(sa.String(120))
    template_version_id: Mapped[int] = mapped_column(sa.ForeignKey("template_version.id"))
    fallback_version_id: Mapped[int | None] = mapped_column(sa.ForeignKey("template_version.id"))
    """The text for the other channel: for contacts who prefer it, and for those whom the first
    channel fails for good."""
    audience: Mapped[dict[str, Any]]
    """The filter that was chosen: see `reminders.audience.AudienceFilter`."""
    starts_at: Mapped[datetime]
    not_after: Mapped[datetime]
    status: Mapped[WaveStatus] = mapped_column(default=WaveStatus.DRAFT, index=True)
    paused_because: Mapped[str] = mapped_column(sa.String(200), default="")
    paused_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    """None: the machine did."""
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    approver_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    approved_at: Mapped[datetime | None]
    approval_hash: Mapped[str | None] = mapped_column(sa.String(64))
    """Of words, schedule and audience as approved (`reminders.approval.hash_approval`); any edit
    voids it."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    template_version: Mapped[TemplateVersion] = relationship(foreign_keys=[template_version_id])
    fallback_version: Mapped[TemplateVersion | None] = relationship(
        foreign_keys=[fallback_version_id]
    )
    correction_of: Mapped["Wave | None"] = relationship(remote_side="Wave.id")

    __mapper_args__ = {"version_id_col": version}


def _some(name: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """An index of some of the rows."""
    condition = sa.text(where)
    return sa.Index(
        name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition
    )


_IS_OPEN = "status IN ('queued', 'sending', 'unknown')"


class Message(Base):
    """A row is written four times on its way. So that this costs little, PostgreSQL keeps the
    letter itself out of the row, and leaves room beside it (migration 0004)."""

    __tablename__ = "message"
    __table_args__ = (
        sa.UniqueConstraint("wave_id", "contact_id", "channel"),
        sa.UniqueConstraint("wave_id", "channel", "address_hash"),
        sa.CheckConstraint("(status = 'failed') = (failure IS NOT NULL)", "failed_has_kind"),
        sa.CheckConstraint(
            "(status = 'withheld') = (withheld_reason IS NOT NULL)", "withheld_has_reason"
        ),
        sa.CheckConstraint("(token IS NULL) = (lease_until IS NULL)", "token_has_lease"),
        # In the order in which rows are claimed: a claim of a hundred thousand sorts none of them.
        # Only of the few that are open: what was sent is written once more for each index.
        _some("ix_message_open", "status", "next_at", "id", where=_IS_OPEN),
        sa.Index("ix_message_wave_id_status", "wave_id", "status"),
        sa.Index("ix_message_address_hash_sent_at", "address_hash", "sent_at"),
        _some("ix_message_sms_sent_at", "sent_at", where="channel = 'sms'"),
        _some("uq_message_occurrence", "occurrence", where="occurrence IS NOT NULL", unique=True),
        _some(
            "uq_message_fallback_of_id",
            "fallback_of_id",
            where="fallback_of_id IS NOT NULL",
            unique=True,
        ),
        # Mails and providers name a message by its id, so that none may come again.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[PrimaryKey]
    purpose: Mapped[Purpose]
    channel: Mapped[Channel]
    campaign_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaign.id"))
    wave_id: Mapped[int | None] = mapped_column(sa.ForeignKey("wave.id"))
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"), index=True)
    occurrence: Mapped[str | None] = mapped_column(sa.String(120))
    """Names what a message outside a wave is for («invitation:12:attendee:7:0»): queued once."""

    recipient_name: Mapped[str] = mapped_column(sa.String(60), default="")
    address: Mapped[str] = mapped_column(sa.String(254))
    """E-mail address in lower case, mobile number in E.164, or «robot:12» for a group of WeCom."""
    address_hash: Mapped[str] = mapped_column(sa.String(64))
    domain: Mapped[str] = mapped_column(sa.String(190), default="")
    """Of an e-mail address, for the rate at which its provider is written to; of a group, the
    whole address."""
    subject: Mapped[str] = mapped_column(sa.String(200), default="")
    body_text: Mapped[str] = mapped_column(sa.Text)
    body_html: Mapped[str] = mapped_column(sa.Text, default="")
    """Of a mail that has its own, such as a digest; of others it is made from the text when they
    are sent, since to write and rewrite it costs more."""
    calendar: Mapped[str] = mapped_column(sa.Text, default="")
    """An iCalendar object with its METHOD, sent as a part of the e-mail."""
    reply_to: Mapped[str] = mapped_column(sa.String(254), default="")
    segments: Mapped[int] = mapped_column(default=1)
    """What the provider counts: text messages, or posts to a group; 1 for an e-mail."""
    provider_template: Mapped[str] = mapped_column(sa.String(40), default="")
    variables: Mapped[list[Any]] = mapped_column(default=list)
    """Of a text message: [placeholder, value] in the order of the text, since providers are given
    the number of a wording and what to put into it."""

    status: Mapped[MessageStatus]
    withheld_reason: Mapped[WithheldReason | None]
    failure: Mapped[FailureKind | None]
    facts: Mapped[dict[str, Any]]
    """What the reason or the outcome rests on («amount_fen», «received_on», «answer»)."""
    attempts: Mapped[int] = mapped_column(default=0)
    resend_no: Mapped[int] = mapped_column(default=0)
    """How often a person had it sent again after an unknown outcome."""
    token: Mapped[str | None] = mapped_column(sa.String(32))
    """Fencing token of the worker that holds the row: an outcome with another token is late."""
    lease_until: Mapped[datetime | None]
    next_at: Mapped[datetime]
    not_after: Mapped[datetime]
    provider_id: Mapped[str] = mapped_column(sa.String(120), default="")
    inquiries: Mapped[int] = mapped_column(default=0)
    """How often the provider was asked what became of a message of unknown outcome."""
    fallback_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"))
    """The message over another channel that failed for good; this one takes its place."""
    queued_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    status_at: Mapped[datetime]

    wave: Mapped[Wave | None] = relationship()
    fallback_of: Mapped["Message | None"] = relationship(remote_side="Message.id")
    links: Mapped[list["MessageSolicitation"]] = relationship()


class MessageSolicitation(Base):
    """Which units a message is about: one contact who serves two units gets one message."""

    __tablename__ = "message_solicitation"

    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), primary_key=True)
    solicitation_id: Mapped[int] = mapped_column(
        sa.ForeignKey("solicitation.id"), primary_key=True, index=True
    )


class Attachment(Base):
    """A file that goes with messages, kept as it was when they were queued."""

    __tablename__ = "attachment"

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(sa.String(60))
    media_type: Mapped[str] = mapped_column(sa.String(100))
    content: Mapped[bytes] = mapped_column(deferred=True)
    created_at: Mapped[datetime]


class MessageAttachment(Base):
    """Which message carries which file; one file goes with many messages."""

    __tablename__ = "message_attachment"

    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), primary_key=True)
    attachment_id: Mapped[int] = mapped_column(sa.ForeignKey("attachment.id"), index=True)


class ReceiptKind(Term):
    DELIVERED = "delivered", _("已送达")
    BOUNCED = "bounced", _("退回")


class BounceCause(Term):
    """Why a message came back. Only the first proves something about the address."""

    NO_SUCH_ADDRESS = "no_such_address", _("地址不存在或已停用")
    MAILBOX_FULL = "mailbox_full", _("对方信箱已满")
    POLICY = "policy", _("被对方的安全策略拦下")
    GIVEN_UP = "given_up", _("多次投递未成，邮件服务器已放弃")
    OTHER = "other", _("对方没有说明原因")


class DeliveryReceipt(Base):
    """What a provider or a bounce said later about a message that it had accepted. It may come
    twice, in any order, and before the acceptance itself was written down."""

    __tablename__ = "delivery_receipt"

    id: Mapped[PrimaryKey]
    key: Mapped[str] = mapped_column(sa.String(120), unique=True)
    """Provider, its number for the message and what it says: the same receipt counts once."""
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"), index=True)
    resend_no: Mapped[int]
    kind: Mapped[ReceiptKind]
    cause: Mapped[BounceCause | None]
    """Of a bounce, where its words tell."""
    detail: Mapped[str] = mapped_column(sa.String(200), default="")
    """In the provider's words, without any address."""
    received_at: Mapped[datetime]


class EarlyReceipt(Base):
    """A report under the provider's number for a message that no message of ours carries yet: a
    provider that does not give our number back can be faster than the worker that writes down
    what it accepted."""

    __tablename__ = "early_receipt"
    __table_args__ = (sa.UniqueConstraint("provider_id", "kind"),)

    id: Mapped[PrimaryKey]
    provider_id: Mapped[str] = mapped_column(sa.String(120))
    address_hash: Mapped[str] = mapped_column(sa.String(64))
    kind: Mapped[ReceiptKind]
    detail: Mapped[str] = mapped_column(sa.String(200), default="")
    received_at: Mapped[datetime] = mapped_column(index=True)


class OptOut(Base):
    """An address that must not be written to. Only its hash is kept, so that it survives the
    erasure of the person and a new import does not bring the address back."""

    __tablename__ = "opt_out"
    __table_args__ = (sa.UniqueConstraint("channel", "address_hash"),)

    id: Mapped[PrimaryKey]
    channel: Mapped[Channel]
    address_hash: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[str] = mapped_column(sa.String(60))
    at: Mapped[datetime]


class VerifiedAddress(Base):
    """An address that a message came back from, and that a person has since found to be right:
    what was sent to it before says nothing any more. Only its hash is kept."""

    __tablename__ = "verified_address"
    __table_args__ = (sa.UniqueConstraint("channel", "address_hash"),)

    id: Mapped[PrimaryKey]
    channel: Mapped[Channel]
    address_hash: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[datetime]


class SendPolicy(Base):
    """The one row (id 1) with the switch and the caps. Without it nothing is sent."""

    __tablename__ = "send_policy"
    __table_args__ = (
        sa.CheckConstraint("id = 1", "one_row"),
        sa.CheckConstraint("contact_cap >= 0 AND contact_cap_days > 0 AND unit_cap >= 0", "caps"),
        sa.CheckConstraint("unit_gap_days >= 0", "gap"),
    )

    id: Mapped[PrimaryKey]
    is_on: Mapped[bool]
    contact_cap: Mapped[int]
    """Reminders that one contact may get in `contact_cap_days` days."""
    contact_cap_days: Mapped[int]
    unit_cap: Mapped[int]
    """Reminders about one unit in one campaign."""
    unit_gap_days: Mapped[int]
    """Days from a reminder about a unit to the next one at least; 1: not on the same day."""
    sms_daily_budget: Mapped[int] = mapped_column(default=0)
    """Text messages that may go out in a day, counted in segments; nothing goes out beyond it."""
    sms_price_fen: Mapped[int] = mapped_column(default=5)
    """What the provider asks for one text message; for estimates only."""
    instance_id: Mapped[str] = mapped_column(sa.String(36), default="")
    """The installation that may send from this database: see `messages.instance`."""
    epoch: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    """Rises with each window that is begun, and is never lower than the id of a message that was
    sent. A database that is behind the count that the machine keeps was restored from a copy, and
    does not know what was sent since."""
    restored_at: Mapped[datetime | None]
    """When a person last trusted a database that had been restored or cloned."""
    changed_at: Mapped[datetime]
    changed_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))


class SendingRate(Base):
    """How fast a provider may be written to. A channel without a rate of its own sends nothing."""

    __tablename__ = "sending_rate"
    __table_args__ = (
        sa.UniqueConstraint("channel", "domain"),
        sa.CheckConstraint("per_minute > 0", "positive"),
    )

    id: Mapped[PrimaryKey]
    channel: Mapped[Channel]
    domain: Mapped[str] = mapped_column(sa.String(190), default="")
    """Of the recipients' addresses («qq.com»); empty: the channel as a whole."""
    per_minute: Mapped[int | None]
    """None: as fast as the provider takes them."""
    tokens: Mapped[float] = mapped_column(default=0.0)
    """Messages that may go out at `tokens_at`; they grow again by `per_minute`."""
    tokens_at: Mapped[datetime | None]


ROBOT_PREFIX = "robot:"


class WecomRobot(Base):
    """A robot of a WeCom group: of the secretariat (no sector), or of one sector's group."""

    __tablename__ = "wecom_robot"
    # Messages name a robot by its id: that of one that was deleted must not come back.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(sa.String(60), unique=True)
    key: Mapped[str] = mapped_column(sa.String(80), deferred=True)
    """The secret in its address; read for sending only, never shown again once it is saved."""
    campaign_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaign.id"))
    """None, of a robot without a sector: the secretariat's group in every campaign."""
    sector_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sector.id"))
    is_on: Mapped[bool] = mapped_column(default=True)
    tokens: Mapped[float] = mapped_column(default=0.0)
    tokens_at: Mapped[datetime | None]
    """Posts that may go out, and when some were last taken: the provider counts for each robot, and
    differently from a `SendingRate` (see `rates`)."""
    created_at: Mapped[datetime]

    @property
    def address(self) -> str:
        return self.address_of(self.id)

    @staticmethod
    def address_of(robot_id: int) -> str:
        """What stands in a message in place of the secret."""
        return f"{ROBOT_PREFIX}{robot_id}"


class WindowDays(Term):
    WORKDAYS = "workdays", _("工作日")
    EVERY_DAY = "every_day", _("每天")


QUIET_FROM, QUIET_UNTIL = time(21), time(8)
"""Quiet hours, over midnight: no window reaches into them, whatever its row says."""


class SendingWindow(Base):
    """Hours of the day in Asia/Shanghai in which messages may go out, in a part of the year."""

    __tablename__ = "sending_window"
    __table_args__ = (sa.CheckConstraint("closes_at > opens_at", "period"),)

    id: Mapped[PrimaryKey]
    days: Mapped[WindowDays]
    opens_at: Mapped[time]
    closes_at: Mapped[time]
    season_from: Mapped[str] = mapped_column(sa.String(5), default="01-01")
    season_to: Mapped[str] = mapped_column(sa.String(5), default="12-31")
    """First and last day of the part of the year, «MM-DD», both included."""

    @property
    def is_partly_quiet(self) -> bool:
        """Written by other means than the page, which refuses it."""
        return self.opens_at < QUIET_UNTIL or self.closes_at > QUIET_FROM
