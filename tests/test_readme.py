"""The README is checked against the code: a setting that it does not name is a defect."""

import re
from pathlib import Path

from flask import Flask

import config

README = Path(__file__).parent.with_name("README.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_table_with_its_meaning():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| .*? \| (.*?) \|$", README, re.MULTILINE))
    settings = {
        str(field.validation_alias or f"OUTREACH_{name.upper()}"): field.description
        for name, field in config.Settings.model_fields.items()
    }
    assert rows == settings


def test_every_command_that_it_names_exists(app: Flask):
    named = re.findall(r"^\| `flask ([a-z]+) ?([a-z-]*)", README, re.MULTILINE)
    assert named
    for group, command in named:
        found = app.cli.commands[group]
        assert not command or command in getattr(found, "commands", {command: None})


def test_every_file_that_it_links_to_exists():
    root = Path(__file__).parent.parent
    links = re.findall(r"\]\(((?!http)[^)#]+)", README)
    assert [link for link in links if not (root / link).exists()] == []
