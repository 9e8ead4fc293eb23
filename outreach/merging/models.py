"""Which units turned out to be one, which did not, and what merging moved."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.db import Base, PrimaryKey
from outreach.units.models import Unit


class UnitMerge(Base):
    """`loser` turned out to be `survivor`: what hung on it hangs on the survivor since."""

    __tablename__ = "unit_merge"
    __table_args__ = (sa.CheckConstraint("survivor_id <> loser_id", "two_units"),)

    id: Mapped[PrimaryKey]
    survivor_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    loser_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    steps: Mapped[list[Any]]
    """What was done to which row, in order: see `journal`."""
    merged_at: Mapped[datetime]
    merged_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    undone_at: Mapped[datetime | None]
    undone_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    survivor: Mapped[Unit] = relationship(foreign_keys=survivor_id)
    loser: Mapped[Unit] = relationship(foreign_keys=loser_id)
    merged_by: Mapped[User | None] = relationship(foreign_keys=merged_by_id)


class UnitsApart(Base):
    """Two units that look like one and are not, as a person said; the smaller id comes first."""

    __tablename__ = "units_apart"
    __table_args__ = (sa.CheckConstraint("one_id < other_id", "in_order"),)

    one_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), primary_key=True)
    other_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), primary_key=True)
    noted_at: Mapped[datetime]
    noted_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
