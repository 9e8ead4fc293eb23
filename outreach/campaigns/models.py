"""A year's effort, its sectors, and where each unit stands in it."""

from datetime import date, datetime, timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.db import Base, Fen, PrimaryKey
from outreach.terms import Term
from outreach.units.models import Unit


class CampaignStatus(Term):
    PLANNED = "planned", _("筹备中")
    RUNNING = "running", _("进行中")
    CLOSED = "closed", _("已结束")


class Campaign(Base):
    __tablename__ = "campaign"
    __table_args__ = (
        sa.CheckConstraint("ends_on >= starts_on", "period"),
        sa.CheckConstraint("goal_fen >= 0", "goal_not_negative"),
        sa.CheckConstraint("lag_margin_percent BETWEEN 0 AND 100", "lag_margin"),
        sa.CheckConstraint("follow_up_workdays BETWEEN 1 AND 60", "follow_up"),
        sa.CheckConstraint("visits_per_day BETWEEN 1 AND 20", "visits_per_day"),
        sa.CheckConstraint("return_workdays BETWEEN 1 AND 60", "return_workdays"),
    )

    id: Mapped[PrimaryKey]
    code: Mapped[str] = mapped_column(sa.String(20), unique=True)
    """What addresses and commands call it: «2023»."""
    name: Mapped[str] = mapped_column(sa.String(120))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    goal_fen: Mapped[Fen]
    status: Mapped[CampaignStatus]
    previous_id: Mapped[int | None] = mapped_column(sa.ForeignKey("campaign.id"))
    lag_margin_percent: Mapped[int] = mapped_column(default=5)
    """Points of share raised that a sector may be behind its pace line before it lags."""
    follow_up_workdays: Mapped[int] = mapped_column(default=5)
    """Working days of silence after a reminder until a visit is proposed."""
    visits_per_day: Mapped[int] = mapped_column(default=4)
    """Visits that one solicitor has room for on one day, unless their own room says otherwise."""
    return_workdays: Mapped[int] = mapped_column(default=5)
    """Working days after its day on which a visit that nobody made is taken off the plan."""
    is_demo: Mapped[bool] = mapped_column(default=False)
    """Unit-level rows were generated; every page says so (演示数据)."""
    version: Mapped[int] = mapped_column()

    previous: Mapped["Campaign | None"] = relationship(remote_side="Campaign.id")
    sectors: Mapped[list["Sector"]] = relationship(
        back_populates="campaign", order_by="Sector.position"
    )

    __mapper_args__ = {"version_id_col": version}


class Sector(Base):
    """A group of units in ONE campaign; lineage links it to the sectors it came from."""

    __tablename__ = "sector"
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "name"),
        # Digests and waves name a sector by its id: that of one that was merged must not come back.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(60))
    position: Mapped[int]
    """Order in which the federation lists its sectors."""

    campaign: Mapped[Campaign] = relationship(back_populates="sectors")


class SectorLineage(Base):
    """`sector_id` continues `predecessor_id` of the campaign before (rename, split, merge)."""

    __tablename__ = "sector_lineage"

    sector_id: Mapped[int] = mapped_column(sa.ForeignKey("sector.id"), primary_key=True)
    predecessor_id: Mapped[int] = mapped_column(sa.ForeignKey("sector.id"), primary_key=True)


class Stage(Term):
    """How far people have come with a unit; what money says is derived: see gifts.standings."""

    NOT_CONTACTED = "not_contacted", _("未联系")
    CONTACTED = "contacted", _("已联系")
    VISITED = "visited", _("已走访")
    PLEDGED = "pledged", _("已认捐")
    DECLINED = "declined", _("已婉拒")


class DeclineReason(Term):
    HARD_TIMES = "hard_times", _("经营困难")
    GAVE_ELSEWHERE = "gave_elsewhere", _("已向其他渠道捐赠")
    NO_DECISION = "no_decision", _("内部未能议定")
    NOT_WILLING = "not_willing", _("无捐赠意愿")
    DISSOLVED = "dissolved", _("单位撤并或注销")
    OTHER = "other", _("其他原因")


class ChangeReason(Term):
    """Why a unit gives more or less than last year, as far as people know. Never published."""

    LESS_INCOME = "less_income", _("效益下降")
    BUDGET_CUT = "budget_cut", _("财政预算缩减")
    FEWER_PEOPLE = "fewer_people", _("人员减少")
    REORGANISED = "reorganised", _("机构调整")
    GAVE_ELSEWHERE = "gave_elsewhere", _("已向其他渠道捐赠")
    ONCE_ONLY = "once_only", _("上年为一次性大额")
    LATER = "later", _("将晚些到账")
    MORE_INCOME = "more_income", _("效益好转")
    MORE_PEOPLE = "more_people", _("人员增加")
    LED_BY_EXAMPLE = "led_by_example", _("领导带头、动员有力")
    OTHER = "other", _("其他原因")


class Solicitation(Base):
    """One unit in one campaign. The sector is stamped here, so that moving a unit to another
    sector next year leaves this year's tables as they were. Within the campaign it is changed by
    `sectors.move_units` only, which keeps the move."""

    __tablename__ = "solicitation"
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "unit_id"),
        sa.CheckConstraint(
            "(stage = 'declined') = (decline_reason IS NOT NULL)", "decline_has_reason"
        ),
        # Waves name units by these ids: undoing a merge gives back the one that was there.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    unit_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    sector_id: Mapped[int] = mapped_column(sa.ForeignKey("sector.id"), index=True)
    solicitor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    stage: Mapped[Stage] = mapped_column(default=Stage.NOT_CONTACTED)
    decline_reason: Mapped[DeclineReason | None]
    is_exempt: Mapped[bool] = mapped_column(default=False)
    """Not asked this year, by a decision of the secretariat."""
    next_action: Mapped[str] = mapped_column(sa.String(120), default="")
    next_action_on: Mapped[date | None]
    snoozed_until: Mapped[date | None]
    """Last day of the rest; the unit is not asked up to and on it."""
    change_reason: Mapped[ChangeReason | None]
    last_contact_on: Mapped[date | None]
    """Day on which the unit was last reached: a message sent, a call, a visit, a meeting."""
    version: Mapped[int] = mapped_column()

    campaign: Mapped[Campaign] = relationship()
    unit: Mapped[Unit] = relationship()
    sector: Mapped[Sector] = relationship()
    solicitor: Mapped[User | None] = relationship()
    changes: Mapped[list["StageChange"]] = relationship(order_by="StageChange.id")

    __mapper_args__ = {"version_id_col": version}

    def days_silent(self, today: date) -> int:
        """Days since the unit was last reached, or since the campaign began."""
        since = self.last_contact_on or self.campaign.starts_on
        return max((today - since) // timedelta(days=1), 0)


class StageCause(Term):
    PERSON = "person", _("人工修改")
    VISIT = "visit", _("走访")
    PLEDGE = "pledge", _("认捐")
    MESSAGE = "message", _("消息送达")
    MEETING = "meeting", _("会议")
    TODO = "todo", _("待办事项")
    DEMO = "demo", _("演示数据")


class StageChange(Base):
    __tablename__ = "stage_change"

    id: Mapped[PrimaryKey]
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"), index=True)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    from_stage: Mapped[Stage]
    to_stage: Mapped[Stage]
    cause: Mapped[StageCause]
    note: Mapped[str] = mapped_column(sa.String(200), default="")

    by: Mapped[User | None] = relationship()


class SectorMove(Base):
    """A unit went to another sector of its campaign. The names are those of that moment: a sector
    may be called otherwise later, or be merged into another."""

    __tablename__ = "sector_move"

    id: Mapped[PrimaryKey]
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"), index=True)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    from_name: Mapped[str] = mapped_column(sa.String(60))
    to_name: Mapped[str] = mapped_column(sa.String(60))
    reason: Mapped[str] = mapped_column(sa.String(200))

    by: Mapped[User | None] = relationship()
