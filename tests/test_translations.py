"""Chinese first, English second, both complete: every text of the interface is in the catalogue."""

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parent.parent
CATALOGUE = ROOT / "translations" / "en" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\((\w+)\)")


@pytest.fixture(scope="module")
def english():
    with (CATALOGUE / "messages.po").open("rb") as file:
        return read_po(file)


def test_every_text_of_the_interface_has_its_english(english):
    texts = {
        message[0] if isinstance(message, tuple) else message
        for folder in ("outreach", "tasks", "templates")
        for _file, _line, message, _comments, _context in extract_from_dir(
            ROOT / folder, [("**.py", "python"), ("**.*", "jinja2")]
        )
    }
    assert texts
    missing = [text for text in texts if not (text in english and english[text].string)]
    assert missing == [], "run `make translations` and fill in translations/en"


def test_no_translation_asks_for_a_value_that_is_not_given(english):
    for message in english:
        if not message.id:
            continue
        given = set(PLACEHOLDER.findall(str(message.id)))
        assert set(PLACEHOLDER.findall(str(message.string))) <= given, message.id


def test_the_compiled_catalogue_is_the_newest(english):
    with (CATALOGUE / "messages.mo").open("rb") as file:
        compiled = read_mo(file)
    assert _texts(compiled) == _texts(english)


def _texts(catalogue) -> dict[str, list[str]]:
    return {str(list(message.id)): list(message.string) for message in catalogue if message.id}
