from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach import money


@pytest.mark.parametrize(
    ("text", "fen"),
    [("1", 100), ("12,000.50", 1_200_050), (" 0.01 ", 1), ("3,000", 300_000), ("-5", -500)],
)
def test_amounts_are_read_as_people_type_them(text: str, fen: int):
    assert money.parse_yuan(text) == fen


@pytest.mark.parametrize("text", ["", "abc", "1.005", "NaN", "Infinity", "1e-3"])
def test_what_is_no_whole_number_of_fen_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the message
        money.parse_yuan(text)


def test_the_report_of_2023_is_whole_yuan():
    assert money.from_wan_yuan(Decimal("1810.7035")) == 1_810_703_500
    assert money.format_wan_yuan(1_810_703_500, 4) == "1,810.7035"


@given(st.integers(-(10**15), 10**15))
def test_what_is_printed_in_yuan_reads_back_to_the_fen(fen: int):
    assert money.parse_yuan(money.format_yuan(fen)) == fen
