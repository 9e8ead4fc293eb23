"""Files as offices make them, written by script."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import xlsxwriter

from outreach.spreadsheets.reading import SourceFile

Rows = Sequence[Sequence[Any]]


def make_xlsx(*sheets: Rows, merged: Iterable[str] = (), names: Sequence[str] = ()) -> SourceFile:
    """A workbook of these sheets; `merged` ranges, such as «A1:F1», are of the first one. Days
    become date cells, formulas keep their value with `(formula, value)`."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    merged = list(merged)
    for number, rows in enumerate(sheets):
        sheet = book.add_worksheet(names[number] if names else None)
        for reference in merged if number == 0 else ():
            sheet.merge_range(reference, "")
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                if isinstance(value, tuple):
                    sheet.write_formula(row, column, value[0], None, value[1])
                elif value is not None:
                    sheet.write(row, column, value)
    book.close()
    return SourceFile("名册.xlsx", buffer.getvalue())


def make_csv(rows: Rows, encoding: str = "utf-8-sig", delimiter: str = ",") -> SourceFile:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    return SourceFile("名册.csv", buffer.getvalue().encode(encoding))


def plain(text: object) -> str:
    """Words with half-width punctuation, so that a test does not depend on its width."""
    return unicodedata.normalize("NFKC", str(text))
