"""Commands for operators. Exit codes: 0 done, 1 refused or a check failed, 2 wrong usage."""

from flask import Flask
from flask.cli import AppGroup

demo = AppGroup("demo", help="Demonstration data.")
units = AppGroup("units", help="The register of units.")
gifts = AppGroup("gifts", help="Money received.")
sectors = AppGroup("sectors", help="Sectors and their figures.")


def install(app: Flask) -> None:
    for group in (demo, units, gifts, sectors):
        app.cli.add_command(group)
