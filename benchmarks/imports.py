"""How long a register and a list of gifts of 20,000 rows take, on both databases:
`.venv/bin/python -m benchmarks.imports [--rows N]`.

A preview reads the file and compares it with the database; an import does that again and writes.
The fsync of the database is on.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import sqlalchemy as sa
from flask_migrate import upgrade

import config
from app import create_app
from outreach.campaigns.importing import apply_register, plan_register
from outreach.campaigns.models import Campaign
from outreach.campaigns.undoing import undo_register
from outreach.db import db
from outreach.gifts.importing import apply_gifts, plan_gifts
from outreach.gifts.undoing import undo_gifts
from outreach.spreadsheets.reading import SourceFile
from outreach.units.models import ImportBatch, ImportKind
from tests import factories
from tests.office import make_xlsx
from tests.services import Postgres

SECTORS = 20
REGISTER_TITLES = ["板块", "单位名称", "人数", "联系人", "手机", "邮箱"]
GIFT_TITLES = ["单位名称", "到账金额(元)", "到账日期", "流水号"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        postgres = Postgres(root, is_durable=True)
        urls = {
            "SQLite": f"sqlite:///{root}/outreach.db",
            "PostgreSQL": postgres.create("bench"),
        }
        for label, url in urls.items():
            _measure(label, url, root, rows)


def _measure(label: str, url: str, directory: Path, rows: int) -> None:
    app = create_app(config.load(data_dir=directory, database_url=url))
    with app.app_context():
        upgrade()
        campaign = factories.make_campaign(code="bench", ends_on=date(2099, 12, 31))
        register, changed, gifts = (
            _register(rows),
            _register(rows, heads=7),
            make_xlsx([GIFT_TITLES, *_gifts(rows)]),
        )
        steps: dict[str, Callable[[], object]] = {
            "register, preview": lambda: plan_register(campaign, register),
            "register, import": lambda: apply_register(campaign, register),
            "register again, each row changed": lambda: apply_register(campaign, changed),
            "its undoing": lambda: undo_register(_last(campaign, ImportKind.UNITS)),
            "gifts, preview": lambda: plan_gifts(campaign, gifts),
            "gifts, import": lambda: apply_gifts(campaign, gifts),
            "their undoing": lambda: undo_gifts(_last(campaign, ImportKind.GIFTS)),
        }
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            db.session.commit()
            seconds = time.perf_counter() - began
            print(f"{label:<11} {name:<34} {rows:>6} rows {seconds:6.1f} s", flush=True)
            db.session.expunge_all()
            campaign = db.session.scalars(sa.select(Campaign)).one()
        db.session.remove()
        db.engine.dispose()


def _last(campaign: Campaign, kind: ImportKind) -> ImportBatch:
    query = sa.select(ImportBatch).filter_by(campaign_id=campaign.id, kind=kind)
    return db.session.scalars(query.order_by(ImportBatch.id.desc()).limit(1)).one()


def _register(rows: int, heads: int = 1) -> SourceFile:
    lines = [
        [
            f"第{number % SECTORS}板块",
            f"衡阳市第{number}单位",
            number % 500 + heads,
            f"张{number}",
            f"138{number:08}",
            f"unit{number}@example.org",
        ]
        for number in range(rows)
    ]
    return make_xlsx([REGISTER_TITLES, *lines])


def _gifts(rows: int) -> list[list[object]]:
    return [
        [f"衡阳市第{number}单位", number % 900 + 100, f"2026-09-{number % 28 + 1:02}", f"L{number}"]
        for number in range(rows)
    ]


if __name__ == "__main__":
    main()
