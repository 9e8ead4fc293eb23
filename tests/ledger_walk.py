"""A long walk of random work on one ledger after the other; after each step no fen is missing and
none is too many.

python -m tests.ledger_walk [--steps N] [--seed N]

The expectation is kept in plain Python beside the database: which gifts stand, for how much and
for whom. What a step refuses leaves everything as it was.
"""

import argparse
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from app import create_app
from outreach import clock
from outreach.campaigns import sectors
from outreach.campaigns.importing import apply_register
from outreach.campaigns.models import Campaign, CampaignStatus, Sector, Solicitation
from outreach.campaigns.opening import bring_units, open_campaign
from outreach.campaigns.undoing import undo_register
from outreach.db import db
from outreach.errors import OutreachError
from outreach.gifts import groups, sector_moves, services
from outreach.gifts.groups import Part, Payment, Tally
from outreach.gifts.importing import apply_gifts
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import Gift, GiftBasis, GiftChannel, GiftGroup, GiftKind
from outreach.gifts.sector_moves import Merge, Move
from outreach.gifts.undoing import undo_gifts
from outreach.merging.models import UnitMerge
from outreach.merging.plans import plan_merge
from outreach.merging.services import merge_units, undo_merge
from outreach.units.models import ImportBatch, ImportKind
from tests import factories
from tests.conftest import make_settings, prepare
from tests.office import make_csv
from tests.services import Postgres

STEPS_OF_A_LEDGER = 250
"""After so many steps another ledger begins, so that the walk does not grow slower."""
STEPS_BETWEEN_CHECKS = 25
"""The sums are looked at after each step, all identities of the ledger after so many."""
_numbers = itertools.count(1)


@dataclass
class Standing:
    """A gift that counts."""

    amount_fen: int
    unit_id: int | None
    batch_id: int | None = None


@dataclass
class Ledger:
    """A campaign with a year before it, and what its gifts must come to."""

    random: random.Random
    campaign: Campaign
    before: Campaign
    standing: dict[int, Standing] = field(default_factory=dict)
    last_file: list[list[object]] = field(default_factory=list)
    merges: dict[int, list[int]] = field(default_factory=dict)
    """Gifts that each merge of two units credited to another unit."""

    def gift(self) -> None:
        unit = self.random.choice([None, *self.units()])
        sector = None if unit else self.random.choice([None, *self.sectors()])
        gift = services.record_gift(
            campaign=self.campaign,
            unit=unit.unit if unit else None,
            sector=sector,
            amount_fen=self.amount(),
            kind=self.random.choice(list(GiftKind)),
            basis=self.random.choice(list(GiftBasis)),
            received_on=clock.today(),
            donor_count=self.random.randrange(30),
        )
        self.standing[gift.id] = Standing(gift.amount_fen, gift.unit_id)

    def reverse(self) -> None:
        """Any gift, also one that was reversed before, or a reversal."""
        ids = db.session.scalars(sa.select(Gift.id).filter_by(campaign_id=self.campaign.id)).all()
        gift = db.session.get_one(Gift, self.random.choice(ids or [0]))
        services.reverse_gift(gift, reason="重复登记", by=None)
        del self.standing[gift.id]

    def remittance(self) -> None:
        """One payment for units of a sector; some are a fen off, and refused."""
        unit = self.random.choice(self.units())
        near = [row for row in self.units() if row.sector_id == unit.sector_id]
        parts = self.parts(near, 2)
        total = Tally.of(parts).fen + self.random.choice([0, 0, 0, 1])
        self.take_group(
            groups.record_remittance(
                self.campaign, parts, self.payment(), key=self.key(), total_fen=total, by=None
            )
        )

    def count(self) -> None:
        """Counted money of any units, of which some was not found again; or one sent twice."""
        parts = self.parts(self.units(), 1)
        difference = Tally(self.random.randrange(2), self.random.randrange(100))
        stated = Tally(len(parts) + difference.count, Tally.of(parts).fen + difference.fen)
        key = self.key()
        for _ in range(2):
            group = groups.record_count(
                self.campaign,
                parts,
                self.payment(),
                key=key,
                stated=stated,
                accepted=difference,
                by=None,
            )
            self.take_group(group)
        assert group is None

    def reverse_group(self) -> None:
        """Any group, also one of which parts were reversed before."""
        found = sa.select(GiftGroup).filter_by(campaign_id=self.campaign.id)
        group = self.random.choice(db.session.scalars(found).all())
        for reversal in groups.reverse_group(group, reason="退回", by=None):
            del self.standing[reversal.reversal_of_id]

    def parts(self, units: list[Solicitation], least: int) -> list[Part]:
        return [
            Part(
                self.amount(),
                self.random.choice(list(GiftKind)),
                unit=self.random.choice(units).unit,
                donor_count=self.random.randrange(30),
            )
            for _ in range(self.random.randint(least, 4))
        ]

    def take_group(self, group: GiftGroup | None) -> None:
        for gift in group.parts if group else ():
            self.standing[gift.id] = Standing(gift.amount_fen, gift.unit_id)

    def payment(self) -> Payment:
        return Payment(clock.today(), GiftChannel.CASH, self.random.choice(list(GiftBasis)))

    def key(self) -> str:
        return f"walk{next(_numbers)}"

    def move(self) -> None:
        unit = self.random.choice(self.units())
        some = [row for row in self.units() if row.sector_id == unit.sector_id]
        chosen = self.random.sample(some, self.random.randint(1, len(some)))
        to = self.random.choice([None, *self.sectors()])
        wanted = Move(
            unit.sector,
            [row.unit_id for row in chosen],
            to,
            f"新板块{next(_numbers)}",
            takes_own=self.random.random() < 0.3,
        )
        sector_moves.move_units(self.campaign, wanted, reason="调整", by=None)

    def merge(self) -> None:
        target, *others = self.random.sample(self.sectors(), min(3, len(self.sectors())))
        name = self.random.choice([target.name, f"合并{next(_numbers)}"])
        sector_moves.merge_sectors(
            self.campaign, Merge(target, others, name), reason="合并", by=None
        )

    def rename(self) -> None:
        sector = self.random.choice(self.sectors())
        sectors.rename_sector(self.campaign, sector, f"改名{next(_numbers)}")

    def import_gifts(self) -> None:
        """A new file, or the last one again, which adds nothing; or the last one with more rows."""
        kind = self.random.choice(["new", "again", "longer"])
        rows = list(self.last_file) if kind != "new" else []
        if kind != "again" or not rows:
            rows += [self.row() for _ in range(self.random.randint(1, 4))]
        batch = self.take_in(apply_gifts, [["单位名称", "板块", "金额(元)", "日期"], *rows])
        self.last_file = rows
        for gift in db.session.scalars(sa.select(Gift).filter_by(import_batch_id=batch.id)):
            self.standing[gift.id] = Standing(gift.amount_fen, gift.unit_id, batch.id)

    def import_again(self) -> None:
        """Twice in a row: the second time adds nothing."""
        if self.last_file:
            file = make_csv([["单位名称", "板块", "金额(元)", "日期"], *self.last_file])
            for _ in range(2):
                plan = apply_gifts(self.campaign, file)
            assert plan.is_refused or plan.counts["new"] == 0
            for gift in self.unknown():
                self.standing[gift.id] = Standing(
                    gift.amount_fen, gift.unit_id, gift.import_batch_id
                )

    def import_register(self) -> None:
        """Units that are new, that move, and that stay."""
        rows: list[list[object]] = [
            [self.random.choice(self.sectors()).name, row.unit.name, self.random.randint(1, 99)]
            for row in self.random.sample(self.units(), min(2, len(self.units())))
        ]
        if self.random.random() < 0.5:
            name = f"衡阳市新{next(_numbers)}局"
            rows.append([f"导入板块{self.random.randrange(3)}", name, 5])
        self.take_in(apply_register, [["板块", "单位名称", "人数"], *rows])

    def undo(self) -> None:
        batches = db.session.scalars(
            sa.select(ImportBatch).filter_by(campaign_id=self.campaign.id, undone_at=None)
        ).all()
        batch = self.random.choice(batches[-4:])
        if batch.kind is ImportKind.UNITS:
            undo_register(batch)
        else:
            undo_gifts(batch)
            self.standing = {
                id_: row for id_, row in self.standing.items() if row.batch_id != batch.id
            }

    def merge_units(self) -> None:
        """Two units that are one: the gifts of the loser are the survivor's."""
        rows = self.units()
        self.random.shuffle(rows)
        survivor, loser = rows[0].unit, rows[1].unit
        plan = plan_merge(survivor, loser)
        done = merge_units(survivor, loser, fingerprint=plan.fingerprint, by=None)
        moved = [id_ for id_, row in self.standing.items() if row.unit_id == done.loser_id]
        self.credit(moved, done.survivor_id)
        self.merges[done.id] = moved

    def undo_merge(self) -> None:
        """What came with the loser goes back, what came since stays."""
        merge = db.session.get_one(UnitMerge, self.random.choice(list(self.merges)))
        undo_merge(merge, by=None)
        self.credit(self.merges[merge.id], merge.loser_id)

    def credit(self, gift_ids: Iterable[int], unit_id: int) -> None:
        for id_ in self.standing.keys() & set(gift_ids):
            self.standing[id_] = replace(self.standing[id_], unit_id=unit_id)

    def take_in(self, apply: Callable[..., object], rows: list[list[object]]) -> ImportBatch:
        before = set(db.session.scalars(sa.select(ImportBatch.id)))
        apply(self.campaign, make_csv(rows))
        made = sa.select(ImportBatch).where(ImportBatch.id.not_in(before))
        return db.session.scalars(made).first() or ImportBatch(id=0)

    def unknown(self) -> list[Gift]:
        gifts = sa.select(Gift).filter_by(campaign_id=self.campaign.id)
        reversed_ids = sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
        standing = gifts.where(Gift.reversal_of_id.is_(None), Gift.id.not_in(reversed_ids))
        return [gift for gift in db.session.scalars(standing) if gift.id not in self.standing]

    def row(self) -> list[object]:
        yuan = f"{self.amount() / 100:.2f}"
        day = clock.today().isoformat()
        where = self.random.random()
        if where < 0.6:
            return [self.random.choice(self.units()).unit.name, "", yuan, day]
        sector = self.random.choice(self.sectors()).name if where < 0.9 else ""
        return ["个人" if sector else "未分配", sector, yuan, day]

    def amount(self) -> int:
        return self.random.choice([1, 99, 100, self.random.randint(1, 10**8)])

    def units(self) -> list[Solicitation]:
        query = sa.select(Solicitation).filter_by(campaign_id=self.campaign.id)
        return list(db.session.scalars(query.order_by(Solicitation.id)))

    def sectors(self) -> list[Sector]:
        query = sa.select(Sector).filter_by(campaign_id=self.campaign.id)
        return list(db.session.scalars(query.order_by(Sector.id)))

    def check_sums(self) -> None:
        """In all, for each unit, and without one."""
        found = dict(
            db.session.execute(
                sa.select(Gift.unit_id, sa.func.sum(Gift.amount_fen))
                .where(Gift.campaign_id == self.campaign.id)
                .group_by(Gift.unit_id)
            ).all()
        )
        expected: Counter[int | None] = Counter()
        for row in self.standing.values():
            expected[row.unit_id] += row.amount_fen
        assert {id_: int(fen) for id_, fen in found.items() if fen} == dict(expected)

    def check_identities(self) -> None:
        for campaign in (self.campaign, self.before):
            failing = [str(row.name) for row in check_ledger(campaign) if not row.holds]
            assert failing == [], failing


ACTIONS: dict[str, int] = {
    "gift": 10,
    "reverse": 5,
    "remittance": 2,
    "count": 1,
    "reverse_group": 1,
    "move": 3,
    "merge": 1,
    "rename": 1,
    "merge_units": 1,
    "undo_merge": 1,
    "import_gifts": 3,
    "import_again": 1,
    "import_register": 2,
    "undo": 2,
}
"""With their weights."""


def open_ledger(choose: random.Random) -> Ledger:
    """Last year has three sectors with units and money; this year begins as last year ended."""
    before = factories.make_campaign()
    for _ in range(3):
        sector = factories.make_sector(before)
        for _ in range(3):
            row = factories.make_solicitation(before, sector)
            factories.make_gift(row, choose.randint(1, 10**8))
    before.status = CampaignStatus.CLOSED
    number = next(_numbers)
    campaign = open_campaign(
        f"walk{number}",
        name=f"第{number}次",
        previous=before,
        starts_on=before.starts_on,
        ends_on=before.ends_on,
    )
    bring_units(campaign, include=())
    campaign.status = CampaignStatus.RUNNING
    db.session.commit()
    return Ledger(choose, campaign, before)


def walk(steps: int, seed: int) -> Counter[str]:
    """Counts what was done; AssertionError names seed and step."""
    choose = random.Random(seed)
    done: Counter[str] = Counter()
    ledger = open_ledger(choose)
    for step in range(1, steps + 1):
        [action] = choose.choices(list(ACTIONS), list(ACTIONS.values()))
        kept, merges = dict(ledger.standing), dict(ledger.merges)
        try:
            getattr(ledger, action)()
            db.session.commit()
            done[action] += 1
        except (OutreachError, sa.exc.NoResultFound, IndexError):
            db.session.rollback()
            ledger.standing, ledger.merges = kept, merges
            done[f"{action} refused"] += 1
        try:
            ledger.check_sums()
            if step % STEPS_BETWEEN_CHECKS == 0 or step == steps:
                ledger.check_identities()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {step}, {action}: {error}") from error
        if step % STEPS_OF_A_LEDGER == 0:
            db.session.remove()
            ledger = open_ledger(choose)
    return done


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.ledger_walk")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="outreach-walk-"))
    root.chmod(0o755)
    try:
        urls = {"sqlite": f"sqlite:///{root / 'walk.db'}"}
        if options.only != "sqlite":
            urls["postgresql"] = Postgres(root).create("walk")
        if options.only == "postgresql":
            del urls["sqlite"]
        for engine, url in urls.items():
            prepare(url, root)
            began = time.monotonic()
            with create_app(make_settings(url, root, log_level="ERROR")).app_context():
                done = walk(options.steps, options.seed)
            told = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
            seconds = time.monotonic() - began
            sys.stdout.write(
                f"{engine}: {options.steps} steps, seed {options.seed}, {seconds:.0f} s: {told}\n"
            )
            sys.stdout.flush()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
