"""What all files that are written must keep to, and a sample that shows how a list may look."""

import io
import re
from collections.abc import Sequence

import xlsxwriter

FORMULA = re.compile("[=+@\\t\\r\\n\\-\uff1d\uff0b\uff20\uff0d]")
"""What a program may take for the beginning of a formula."""

LONGEST_SHEET_NAME = 31


def sheet_name(name: str) -> str:
    """The name without what no program takes in that of a sheet."""
    return re.sub(r"[\[\]:*?/\\]", " ", name).strip("' ")[:LONGEST_SHEET_NAME] or "Sheet1"


def make_sample(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A .xlsx with a merged title, a header and example rows."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(buffer, options)
    sheet = book.add_worksheet(sheet_name(title))
    heading = book.add_format({"bold": True, "font_size": 16, "align": "center"})
    bold = book.add_format({"bold": True, "bg_color": "#DCE6F1", "border": 1})
    text = book.add_format({"num_format": "@"})
    sheet.merge_range(0, 0, 0, len(header) - 1, title, heading)
    sheet.write_row(1, 0, header, bold)
    for number, row in enumerate(rows, 2):
        for column, value in enumerate(row):
            sheet.write(number, column, value, text if isinstance(value, str) else None)
    sheet.set_column(0, len(header) - 1, 18)
    sheet.freeze_panes(2, 0)
    book.close()
    return buffer.getvalue()
