"""Workplaces, the names they go by, and the people there who answer for the campaign."""

import re
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.db import Base, PrimaryKey
from outreach.messages.models import Channel
from outreach.terms import Term
from outreach.workdays import Half

WEEKDAYS = (_("周一"), _("周二"), _("周三"), _("周四"), _("周五"), _("周六"), _("周日"))


class UnitKind(Term):
    ORGAN = "organ", _("机关")
    INSTITUTION = "institution", _("事业单位")
    COMPANY = "company", _("企业")
    UNIVERSITY = "university", _("高校")
    ARMY = "army", _("部队")
    ASSOCIATION = "association", _("社会组织")
    PARTY = "party", _("党派团体")
    OTHER = "other", _("其他")


class ContactRole(Term):
    COORDINATOR = "coordinator", _("联络员")
    LEADER = "leader", _("分管领导")
    FINANCE = "finance", _("财务")


class AliasKind(Term):
    FORMER = "former", _("曾用名")
    ABBREVIATION = "abbreviation", _("简称")
    STATEMENT = "statement", _("银行流水上的名称")
    CREDIT_CODE = "credit_code", _("另一信用代码")


class Unit(Base):
    __tablename__ = "unit"

    id: Mapped[PrimaryKey]
    name: Mapped[str] = mapped_column(sa.String(120))
    name_key: Mapped[str] = mapped_column(sa.String(120), unique=True)
    """The name as it is compared: see `naming.name_key`."""
    initials: Mapped[str] = mapped_column(sa.String(120), index=True)
    """Pinyin initials of the name, lower case: 衡阳市财政局 is «hysczj»."""
    short_name: Mapped[str] = mapped_column(sa.String(60), default="")
    sms_name: Mapped[str] = mapped_column(sa.String(20), default="")
    """At most 20 characters: what SMS providers take as one variable."""
    public_name: Mapped[str] = mapped_column(sa.String(120), default="")
    """What is published instead of the name; an army unit's number never is."""
    credit_code: Mapped[str | None] = mapped_column(sa.String(18), unique=True)
    kind: Mapped[UnitKind]
    district: Mapped[str] = mapped_column(sa.String(40), default="")
    address: Mapped[str] = mapped_column(sa.String(200), default="")
    visit_days: Mapped[str] = mapped_column(sa.String(14), default="")
    """Days of the week on which it receives visitors, Monday is 0, each with the half of the day
    where it is only one: «02», «0a3p»; empty: on all."""
    is_demo: Mapped[bool] = mapped_column(default=False)
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    """The unit in charge (主管单位); there is never a circle."""
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("unit.id"))
    """The unit that this one turned out to be: see `outreach.merging`. Its row stays, with nothing
    that hangs on it, and is neither listed nor found."""
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    aliases: Mapped[list["UnitAlias"]] = relationship(
        back_populates="unit", cascade="all, delete-orphan", order_by="UnitAlias.name"
    )
    contacts: Mapped[list["Contact"]] = relationship(
        back_populates="unit", cascade="all, delete-orphan", order_by="Contact.id"
    )
    parent: Mapped["Unit | None"] = relationship(foreign_keys=parent_id, remote_side="Unit.id")

    __mapper_args__ = {"version_id_col": version}

    def receives_on(self, day: date) -> bool:
        return not self.visit_days or str(day.weekday()) in self.visit_days

    def half_on(self, day: date) -> Half | None:
        """The half of this day in which alone it receives visitors; None where both will do."""
        mark = self.visit_days.partition(str(day.weekday()))[2][:1]
        return next((half for half in Half if half.value == mark), None)

    @property
    def visit_hours(self) -> str:
        """«周一上午、周四»; empty when it receives visitors at any time."""
        labels = {half.value: half.label for half in Half}
        found = re.findall("([0-6])([ap]?)", self.visit_days)
        return "、".join(
            str(_("%(day)s%(half)s", day=WEEKDAYS[int(day)], half=labels[mark]))
            if mark
            else str(WEEKDAYS[int(day)])
            for day, mark in found
        )


class UnitAlias(Base):
    """Another name of a unit: former name, abbreviation, what its bank statements say, or the
    credit code that it went by."""

    __tablename__ = "unit_alias"
    __table_args__ = (sa.UniqueConstraint("unit_id", "name_key"),)

    id: Mapped[PrimaryKey]
    unit_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    name_key: Mapped[str] = mapped_column(sa.String(120), index=True)
    kind: Mapped[AliasKind] = mapped_column(default=AliasKind.FORMER)

    unit: Mapped[Unit] = relationship(back_populates="aliases")


class UnitHeadCount(Base):
    """How many people the unit had in the year of a campaign. No row: nobody knows."""

    __tablename__ = "unit_head_count"
    __table_args__ = (
        sa.UniqueConstraint("unit_id", "campaign_id"),
        sa.CheckConstraint("count >= 0", "count_not_negative"),
    )

    id: Mapped[PrimaryKey]
    unit_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"))
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    count: Mapped[int]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}


class Contact(Base):
    """A person at a unit. When somebody else takes over, the row ends with a date and stays."""

    __tablename__ = "contact"
    __table_args__ = (
        sa.CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", "valid_period"),
    )

    id: Mapped[PrimaryKey]
    unit_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(60))
    title: Mapped[str] = mapped_column(sa.String(60), default="")
    role: Mapped[ContactRole]
    mobile: Mapped[str] = mapped_column(sa.String(20), default="")
    """E.164 («+8613800001234») or empty."""
    email: Mapped[str] = mapped_column(sa.String(254), default="")
    """Lower case, or empty."""
    preferred_channel: Mapped[Channel | None]
    """What the person wants to be written to by, where there is a choice."""
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]
    """Last day on which the person answers for the unit."""
    erased_at: Mapped[datetime | None]
    """Since when nothing is kept but that somebody held this office: see `privacy`."""
    version: Mapped[int] = mapped_column()

    unit: Mapped[Unit] = relationship(back_populates="contacts")

    __mapper_args__ = {"version_id_col": version}

    def is_valid_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class ImportKind(Term):
    UNITS = "units", _("单位名册")
    GIFTS = "gifts", _("到账明细")
    STATEMENT = "statement", _("到账流水")


class ImportBatch(Base):
    """One file that was taken in. The same file is not taken in twice for one campaign, unless
    the first time was undone."""

    __tablename__ = "import_batch"
    __table_args__ = (
        sa.Index(
            "uq_import_batch_standing",
            "kind",
            "campaign_id",
            "sha256",
            unique=True,
            sqlite_where=sa.text("undone_at IS NULL"),
            postgresql_where=sa.text("undone_at IS NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    kind: Mapped[ImportKind]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    file_name: Mapped[str] = mapped_column(sa.String(200))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    counts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    undone_at: Mapped[datetime | None]
    undone_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    created_by: Mapped[User | None] = relationship(foreign_keys=created_by_id)
    undone_by: Mapped[User | None] = relationship(foreign_keys=undone_by_id)


class ImportChange(Base):
    """What a batch did to one row, so that it can be undone: see `journal`."""

    __tablename__ = "import_change"

    id: Mapped[PrimaryKey]
    batch_id: Mapped[int] = mapped_column(sa.ForeignKey("import_batch.id"), index=True)
    table_name: Mapped[str] = mapped_column(sa.String(40))
    row_id: Mapped[int]
    old: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    """The changed columns as they were; NULL when the batch made the row."""
    new: Mapped[dict[str, Any]]
