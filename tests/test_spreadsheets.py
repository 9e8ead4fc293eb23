"""Reading office files: what is safe, where the table is, what a cell means."""

import io
import random
import zipfile
import zlib
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pytest
import xlsxwriter

from outreach.errors import Refused
from outreach.spreadsheets import cells, layouts, tables
from outreach.spreadsheets.cells import BadValue
from outreach.spreadsheets.layouts import Column, Layout
from outreach.spreadsheets.marking import mark
from outreach.spreadsheets.reading import BadCell, SourceFile, cell_name, read
from outreach.spreadsheets.tables import check_totals, find_tables
from tests.office import make_csv, make_xlsx, plain

LAYOUT = Layout(
    columns=(
        Column("name", "单位名称 单位"),
        Column("sector", "板块 系统"),
        Column("contact", "联系人 姓名 联系人姓名"),
        Column("mobile", "手机 联系电话 电话"),
        Column("amount", "到账金额 捐款金额 金额", is_amount=True),
        Column("kind", "性质"),
        Column("note", "备注"),
    ),
    anchors=frozenset({"name"}),
    subject="name",
    group="sector",
)


def find(file: SourceFile) -> tables.Reading:
    return find_tables(read(file), LAYOUT)


def rows_of(file: SourceFile) -> list[dict[str, object]]:
    [table] = find(file).tables
    return [row.cells for row in table.rows]


def refusal(file: SourceFile) -> str:
    with pytest.raises(Refused) as caught:
        read(file)
    return plain(caught.value.message)


def pack(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def replace_part(file: SourceFile, name: str, content: bytes) -> SourceFile:
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    return SourceFile(file.name, pack(parts | {name: content}))


@pytest.fixture(autouse=True)
def words(request):
    """Messages are put into words inside an application."""
    request.getfixturevalue("speaking")


@pytest.fixture(scope="module")
def speaking():
    from flask import Flask
    from flask_babel import Babel

    app = Flask("speaking")
    Babel(app, default_locale="zh_Hans_CN")
    with app.app_context():
        yield


class TestFilesThatAreRefused:
    def test_an_empty_file(self):
        assert "空的" in refusal(SourceFile("a.xlsx", b""))

    def test_another_extension(self):
        assert ".xlsx" in refusal(SourceFile("a.docx", b"PK\x03\x04"))

    @pytest.mark.parametrize("name", ["a.xlsx", "a.csv"])
    def test_a_renamed_program(self, name):
        assert "扩展名" in refusal(SourceFile(name, b"MZ\x90\x00\x03" + b"\x00" * 200))

    def test_a_workbook_that_is_called_csv(self):
        assert "扩展名" in refusal(SourceFile("a.csv", make_xlsx([["单位"]]).content))

    def test_an_old_or_encrypted_workbook(self):
        assert "密码" in refusal(SourceFile("a.xlsx", b"\xd0\xcf\x11\xe0" + b"\x00" * 600))

    def test_a_damaged_workbook(self):
        assert "损坏" in refusal(SourceFile("a.xlsx", make_xlsx([["单位"]]).content[:900]))

    def test_an_archive_that_is_no_workbook(self):
        assert "损坏" in refusal(SourceFile("a.xlsx", pack({"a.xml": b"<a/>"})))

    def test_an_archive_without_parts(self):
        assert "损坏" in refusal(SourceFile("a.xlsx", pack({"a.txt": b"a"})))

    def test_a_small_file_that_unpacks_a_thousandfold(self):
        bomb = replace_part(make_xlsx([["单位"]]), "xl/media/a.bin", b" " * 20_000_000)
        assert len(bomb.content) < 50_000
        assert "过大" in refusal(bomb)

    def test_a_large_file_that_unpacks_to_more_than_fits(self):
        noise = random.Random(1).randbytes(1_000_000)
        bomb = replace_part(make_xlsx([["单位"]]), "xl/media/a.bin", noise + b" " * 60_000_000)
        assert len(bomb.content) > 1_000_000
        assert "过大" in refusal(bomb)

    def test_a_zip_bomb_that_lies_about_its_size(self):
        honest = replace_part(make_xlsx([["单位"]]), "xl/bomb.xml", b" " * 20_000_000)
        content = bytearray(honest.content)
        size = (20_000_000).to_bytes(4, "little")
        crc = zlib.crc32(b" " * 100).to_bytes(4, "little")
        true_crc = zlib.crc32(b" " * 20_000_000).to_bytes(4, "little")
        for find_, put in ((size, (100).to_bytes(4, "little")), (true_crc, crc)):
            content = bytearray(bytes(content).replace(find_, put))
        assert "损坏" in refusal(SourceFile("a.xlsx", bytes(content)))

    def test_too_many_parts(self):
        parts = {f"xl/part{number}.xml": b"<a/>" for number in range(250)}
        assert "过大" in refusal(SourceFile("a.xlsx", pack(parts)))

    def test_a_cell_in_the_last_row_of_the_sheet(self):
        # calamine would ask for 512 GB and abort the process.
        rows = [["单位"], *([] for _row in range(1_048_574)), ["最后"]]
        assert "1048576" in refusal(make_xlsx(rows))

    def test_a_cell_far_to_the_right(self):
        assert "CX" in refusal(make_xlsx([["单位", *[None] * 100, "远"]]))

    def test_cells_without_positions_count_too(self):
        sheet = b"<worksheet><sheetData>%s<row>%s</row></sheetData></worksheet>" % (
            b"<row/>" * 30_000,
            b"<c><v>1</v></c>",
        )
        file = replace_part(make_xlsx([["单位"]]), "xl/worksheets/sheet1.xml", sheet)
        noise = "".join(map(str, range(3_000))).encode()  # keeps the ratio of the archive honest
        assert "行" in refusal(replace_part(file, "docProps/core.xml", b"<a>%s</a>" % noise))

    def test_entities_in_a_part(self):
        sheet = b'<!DOCTYPE a [<!ENTITY e "x">]><worksheet><sheetData/></worksheet>'
        assert "损坏" in refusal(
            replace_part(make_xlsx([["单位"]]), "xl/worksheets/sheet1.xml", sheet)
        )

    def test_a_csv_with_too_many_rows(self):
        assert "拆成" in refusal(make_csv([["单位"]] * 20_100))

    def test_a_csv_with_too_many_columns(self):
        assert "60 列" in refusal(make_csv([["单位"] * 61]))

    def test_a_csv_in_no_known_encoding(self):
        assert "编码" in refusal(SourceFile("a.csv", b"\xff\xff\xff\x81"))

    def test_a_csv_with_an_open_quote(self):
        assert "引号" in refusal(SourceFile("a.csv", '单位\n"甲局'.encode()))


class TestFilesThatAreRead:
    def test_formatting_far_below_the_data_does_not_matter(self):
        book = openpyxl.Workbook()
        book.active.append(["单位名称"])
        book.active.append(["甲局"])
        book.active["A1048576"].number_format = "0.00"
        buffer = io.BytesIO()
        book.save(buffer)
        assert [row["name"] for row in rows_of(SourceFile("a.xlsx", buffer.getvalue()))] == ["甲局"]

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gbk", "gb18030"])
    @pytest.mark.parametrize("delimiter", [",", "\t", ";"])
    def test_csv_encodings_and_delimiters(self, encoding, delimiter):
        file = make_csv([["单位名称", "联系人"], ["衡阳市财政局", "张三"]], encoding, delimiter)
        assert rows_of(file) == [{"name": "衡阳市财政局", "contact": "张三"}]

    def test_numbers_days_and_truth(self):
        file = make_xlsx([[1, 0.1, date(2023, 9, 12), True, " 甲 \u3000", "", 13800001234.0]])
        row = read(file).sheets[0].rows[0]
        assert row[:2] == [Decimal(1), Decimal("0.1")]
        assert row[2:] == [date(2023, 9, 12), "是", "甲", None, Decimal(13800001234)]

    def test_a_formula_counts_with_its_value(self):
        assert read(make_xlsx([[("=1+2", 3)]])).sheets[0].rows[0] == [Decimal(3)]

    def test_a_formula_without_a_value_or_with_an_error_is_no_value(self):
        file = make_xlsx([["甲"], [("=1/0", "#DIV/0!")], [("=A1", "")]])
        book = openpyxl.load_workbook(io.BytesIO(file.content))  # forgets the values
        buffer = io.BytesIO()
        book.save(buffer)
        assert read(file).sheets[0].rows[1] == [BadCell("#DIV/0!")]
        assert read(SourceFile("a.xlsx", buffer.getvalue())).sheets[0].rows[1] == [BadCell("")]

    def test_hidden_sheets_are_named_and_not_read(self):
        book = openpyxl.Workbook()
        book.active.append(["单位名称"])
        book.active.append(["甲局"])
        book.create_sheet("旧表").sheet_state = "hidden"
        buffer = io.BytesIO()
        book.save(buffer)
        reading = find(SourceFile("a.xlsx", buffer.getvalue()))
        assert [(warning.sheet, plain(warning.message)) for warning in reading.warnings] == [
            ("旧表", "工作表是隐藏的,没有读取")
        ]

    def test_cells_are_named_as_the_program_names_them(self):
        assert [cell_name(0, 0), cell_name(9, 25), cell_name(0, 26)] == ["A1", "Z10", "AA1"]
        assert cell_name(1_048_575, 16_383) == "XFD1048576"


class TestTables:
    def test_title_note_and_header(self):
        file = make_xlsx(
            [
                ["2023年慈善一日捐到账明细"],
                ["", "", "单位\uff1a万元"],
                ["序号", "单位名称", "捐款金额"],
                [1, "甲局", 3.5],
            ],
            merged=["A1:C1"],
        )
        [table] = find(file).tables
        assert (table.places["amount"].unit, table.ignored) == ("万元", ["序号"])
        assert [(row.number, row.cells["name"]) for row in table.rows] == [(4, "甲局")]

    @pytest.mark.parametrize(
        ("title", "unit"),
        [
            ("金额(万元)", "万元"),
            ("捐款金额\uff08元\uff09", "元"),
            ("到账金额\n(万元)", "万元"),
            ("金额", ""),
        ],
    )
    def test_the_unit_in_the_title_of_the_column(self, title, unit):
        [table] = find(make_csv([["单位", title], ["甲局", "1"]])).tables
        assert table.places["amount"].unit == unit

    def test_the_title_of_the_column_wins_over_the_note(self):
        rows = [["金额单位:万元"], ["单位", "金额(元)"], ["甲局", 5]]
        assert find(make_xlsx(rows)).tables[0].places["amount"].unit == "元"

    def test_two_notes_that_contradict_each_other(self):
        rows = [["单位:万元"], ["(单位:元)"], ["单位", "金额"], ["甲局", 5]]
        reading = find(make_xlsx(rows))
        assert "只保留一个" in str(reading.problems[0].remedy)

    def test_a_header_of_two_rows(self):
        file = make_xlsx(
            [
                ["序号", "单位名称", "联系人", "", "到账", ""],
                ["", "", "姓名", "电话", "金额(元)", "备注"],
                [1, "甲局", "张三", 13800001234, 500, "无"],
            ],
            merged=["A1:A2", "B1:B2", "C1:D1", "E1:F1"],
        )
        assert rows_of(file) == [
            {
                "name": "甲局",
                "contact": "张三",
                "mobile": Decimal(13800001234),
                "amount": Decimal(500),
                "note": "无",
            }
        ]

    def test_a_value_that_reads_like_a_title_is_no_header(self):
        file = make_csv(
            [["单位名称", "性质", "金额"], ["甲局", "单位", "5"], ["乙局", "单位", "6"]]
        )
        assert [row["name"] for row in rows_of(file)] == ["甲局", "乙局"]

    def test_merged_sectors_count_for_each_row_and_merged_names_do_not(self):
        file = make_xlsx(
            [
                ["板块", "单位名称", "联系人"],
                ["公安系统", "甲局", "一"],
                ["", "", "二"],
                ["", "丙局", ""],
            ],
            merged=["A2:A4", "B2:B3"],
        )
        assert [(row["sector"], row["name"]) for row in rows_of(file)] == [
            ("公安系统", "甲局"),
            ("公安系统", BadCell("", is_merged=True)),
            ("公安系统", "丙局"),
        ]

    def test_blank_sectors_of_a_csv_repeat_the_one_above(self):
        file = make_csv(
            [["板块", "单位名称"], ["公安系统", "甲局"], ["", "乙局"], ["教育", "丙校"]]
        )
        assert [row["sector"] for row in rows_of(file)] == ["公安系统", "公安系统", "教育"]

    def test_headings_name_the_group_when_no_column_does(self):
        file = make_xlsx(
            [["序号", "单位名称"], ["一、公安系统"], [1, "甲局"], ["二、教育系统"], [1, "乙校"]],
            merged=["A2:B2", "A4:B4"],
        )
        [table] = find(file).tables
        assert [row.heading for row in table.rows] == ["公安系统", "教育系统"]

    def test_blank_rows_footers_and_repeated_headers_are_left_out(self):
        file = make_xlsx(
            [
                ["序号", "单位名称", "金额"],
                [1, "甲局", 1],
                [],
                ["序号", "单位名称", "金额"],
                [2, "乙局", 2],
                [3, "", ""],
                ["制表:张三", "", "审核:李四"],
                ["", "", date(2023, 12, 31)],
                ["第1页 共2页"],
            ]
        )
        [table] = find(file).tables
        assert [row.cells["name"] for row in table.rows if row.cells["name"]] == ["甲局", "乙局"]
        assert len(table.rows) == 2

    def test_a_lone_remark_is_left_out_and_reported(self):
        rows = [["板块", "单位名称"], ["公安", "甲局"], ["本表数据截至十月", ""]]
        [warning] = find(make_xlsx(rows)).warnings
        assert (warning.row, "独占一行" in str(warning.message)) == (3, True)

    def test_several_sheets(self):
        file = make_xlsx([["单位"], ["甲"]], [["说明文字"]], [["单位"], ["乙"]])
        reading = find(file)
        assert [table.rows[0].cells["name"] for table in reading.tables] == ["甲", "乙"]
        assert [warning.sheet for warning in reading.warnings] == ["Sheet2"]

    def test_no_header_at_all(self):
        [problem] = find(make_xlsx([["甲", 1], ["乙", 2]])).problems
        assert "单位名称" in str(problem.remedy)

    def test_two_columns_for_the_money_are_refused(self):
        rows = [["单位", "捐款金额", "到账金额"], ["甲", 1, 2]]
        [problem] = find(make_xlsx(rows)).problems
        assert "只保留一列" in str(problem.remedy)

    def test_of_two_phones_the_one_that_says_mobile_is_taken(self):
        [row] = rows_of(make_csv([["单位", "电话", "手机"], ["甲", "0734-8866123", "13800001234"]]))
        assert row["mobile"] == "13800001234"


class TestTotals:
    def check(self, *rows: tuple[str, object]) -> list[tuple[int, int, int]]:
        [table] = find(make_xlsx([["单位", "金额"], *rows])).tables
        values = [int(row.cells["amount"]) for row in table.rows]
        found = check_totals(table, "amount", values, lambda value: int(value) if value else None)
        return [(total.number, written, counted) for total, written, counted in found]

    def test_parts_and_wholes_that_add_up(self):
        rows = [("甲", 1), ("乙", 2), ("小计", 3), ("丙", 4), ("公安系统小 计", 4), ("合计", 7)]
        assert self.check(*rows) == []

    def test_a_total_above_its_rows(self):
        assert self.check(("合计", 3), ("甲", 1), ("乙", 2)) == []
        assert self.check(("合计", 4), ("甲", 1), ("乙", 2)) == [(2, 4, 3)]

    @pytest.mark.parametrize("whole", [[("合计", 10)], []])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_parts_above_their_rows(self, whole, is_first):
        groups = [("公安系统小计", 3), ("甲", 1), ("乙", 2), ("教育系统小计", 7), ("丙", 3)]
        rows = [*(whole if is_first else []), *groups, ("丁", 4), *([] if is_first else whole)]
        assert self.check(*rows) == []

    def test_a_wrong_part_above_its_rows(self):
        rows = [("小计", 3), ("甲", 1), ("乙", 2), ("小计", 8), ("丙", 3), ("丁", 4), ("合计", 10)]
        assert self.check(*rows) == [(5, 8, 7)]

    def test_a_part_above_no_rows(self):
        groups = [("公安系统小计", 3), ("甲", 1), ("乙", 2)]
        assert self.check(*groups, ("教育系统小计", "0")) == []
        assert self.check(("教育系统小计", "0"), *groups) == []
        assert self.check(("财政系统小计", 4), *groups) == [(2, 4, 0)]
        assert self.check(*groups, ("教育系统小计", 3)) == [(5, 3, 0)]

    def test_wholes_of_several_groups(self):
        assert self.check(("甲", 1), ("合计", 1), ("乙", 2), ("合计", 2), ("总计", 3)) == []

    def test_a_wrong_part_and_a_wrong_whole(self):
        rows = [("甲", 1), ("小计", 2), ("乙", 2), ("小计", 2), ("总计", 9)]
        assert self.check(*rows) == [(3, 2, 1), (6, 9, 3)]

    def test_a_remark_may_speak_of_totals(self):
        rows = [["单位", "金额", "备注"], ["甲", 5, "合计"]]
        assert len(find(make_xlsx(rows)).tables[0].rows) == 1


class TestCells:
    @pytest.mark.parametrize(
        ("value", "unit", "fen"),
        [
            ("3万", "元", 3_000_000),
            ("3万元", "万元", 3_000_000),
            ("5,000元", "万元", 500_000),
            ("12345.60", "元", 1_234_560),
            ("\uff13\uff15\uff10\u3000", "元", 35_000),
            ("\uff15\uff0c000元", "元", 500_000),
            ("3.5 ", "万元", 3_500_000),
            ("0.012亿", "元", 120_000_000),
            ("12", "千元", 1_200_000),
            ("3千", "万元", 300_000),
            ("¥5,000.00元整", "元", 500_000),
            (Decimal("1810.7035"), "万元", 1_810_703_500),
            (Decimal("0.1"), "元", 10),
            ("—", "元", None),
            ("", "元", None),
            (None, "元", None),
            (0, "元", 0),
        ],
    )
    def test_amounts(self, value, unit, fen):
        value = Decimal(value) if isinstance(value, int) else value
        assert cells.parse_amount(value, unit) == fen

    @pytest.mark.parametrize(
        "value",
        [
            "约3万",
            "3-5万",
            "-500",
            "5,00",
            "叁万元",
            "3万5千",
            "500美元",
            Decimal("0.001"),
            Decimal(-5),
            "99999999999",
            date(2023, 9, 12),
            BadCell(""),
            BadCell("#REF!"),
        ],
    )
    def test_amounts_that_are_not_guessed(self, value):
        with pytest.raises(BadValue) as caught:
            cells.parse_amount(value, "元")
        assert str(caught.value.remedy)

    @pytest.mark.parametrize(
        "value",
        [
            "2023.9.12",
            "2023/9/12",
            "2023-09-12",
            "2023年9月12日",
            "9月12日",
            "9.12",
            "20230912",
            "45181",
            Decimal(45181),
            Decimal(20230912),
            date(2023, 9, 12),
        ],
    )
    def test_days(self, value):
        assert cells.parse_day(value, date(2023, 8, 28), date(2024, 2, 1)) == date(2023, 9, 12)

    def test_a_day_without_a_year_after_new_year(self):
        day = cells.parse_day("1月5日", date(2023, 8, 28), date(2024, 2, 1))
        assert day == date(2024, 1, 5)

    @pytest.mark.parametrize(
        "value", ["九月", "2023.13.1", "2月30日", "5月1日", "23.9.12", Decimal("9.1"), Decimal(12)]
    )
    def test_days_that_are_not_guessed(self, value):
        with pytest.raises(BadValue):
            cells.parse_day(value, date(2023, 8, 28), date(2024, 2, 1))

    def test_counts(self):
        assert [cells.parse_count(value) for value in ("1,200人", Decimal(5), " 7 ", "/")] == [
            1200,
            5,
            7,
            None,
        ]
        with pytest.raises(BadValue):
            cells.parse_count("约100")

    def test_numbers_as_text(self):
        assert cells.text_of(Decimal("13800001234")) == "13800001234"
        with pytest.raises(BadValue, match="15"):
            cells.text_of(Decimal("6222021234567890123"))

    @pytest.mark.parametrize(
        ("text", "money"),
        [
            ("另有现金3万元", "3万元"),
            ("¥500", "¥500"),
            ("另收现金2000", "2000"),
            ("其中个人120", "120"),
            ("补缴：1,200.50", "1,200.50"),
            ("共12人", ""),
            ("其中党员12人", ""),
            ("个人手机13873412345号", ""),
            ("捐款日期2026年10月12日", ""),
            ("转账 2026-10-12", ""),
            ("", ""),
            ("1" * 200_000, ""),
            ("捐" * 100_000, ""),
        ],
        ids=range(13),
    )
    def test_money_in_a_remark(self, text, money):
        assert cells.find_money(text) == money


class TestWhatIsSaidOfIt:
    ROWS = [
        ["2023年到账明细"],
        ["单位:万元"],
        ["序号", "单位名称", "捐款金额", "领导"],
        [1, "甲局", 3],
        [],
        [2, "", ""],
        ["序号", "单位名称", "捐款金额"],
        ["合计", "", 3],
        ["制表:张三"],
    ]

    def test_columns_say_what_they_are_and_where_the_unit_is_from(self):
        [table] = find(make_xlsx(self.ROWS)).tables
        amount = table.places["amount"]
        assert (amount.letter, amount.label, amount.unit) == ("C", "到账金额", "万元")
        assert amount.unit_source is layouts.UnitSource.NOTE
        assert table.places["name"].unit_source is None
        assert (table.header_row, table.header_height, table.ignored) == (3, 1, ["序号", "领导"])

    def test_each_row_that_brings_nothing_has_a_reason(self):
        [table] = find(make_xlsx(self.ROWS)).tables
        assert {why.value: rows for why, rows in table.left_out.items()} == {
            "above": [1, 2],
            "blank": [5],
            "nothing": [6],
            "header": [7],
            "total": [8],
            "footer": [9],
        }

    def test_every_row_is_data_or_left_out_or_header(self):
        [table] = find(make_xlsx(self.ROWS)).tables
        left_out = [row for rows in table.left_out.values() for row in rows]
        data = [row.number for row in table.rows]
        assert sorted([*left_out, *data, table.header_row]) == list(range(1, 10))


def styled(*cells_: tuple[object, str], **options: object) -> SourceFile:
    """A row of cells, each with its number format."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True} | options)
    sheet = book.add_worksheet()
    for column, (value, number_format) in enumerate(cells_):
        sheet.write(0, column, value, book.add_format({"num_format": number_format}))
    book.close()
    return SourceFile("名册.xlsx", buffer.getvalue())


def test_a_percentage_is_no_amount():
    formats = ("0%", "0.00%", "[Red]0.0%;-0.0%", '0"%"', "0\\%", "0.00")
    [row] = read(styled(*((0.5, code) for code in formats))).sheets[0].rows
    assert row == ["50%", "50%", "50%", *[Decimal("0.5")] * 3]
    with pytest.raises(BadValue) as caught:
        cells.parse_amount(row[0], "元")
    assert "“50%”是百分比" in plain(caught.value.message)
    assert cells.parse_amount(row[-1], "元") == 50
    formula = styled((("=1/2"), "0%"))
    assert read(formula).sheets[0].rows == [["0%"]], "xlsxwriter keeps 0 as the value"


def test_days_are_counted_from_where_the_workbook_counts_them():
    moment = datetime(2026, 10, 12)  # noqa: DTZ001 - a cell knows no zone
    for is_old, serial in ((False, 46307), (True, 44845)):
        file = styled((moment, "yyyy-mm-dd"), (serial, "0"), (20261012, "0"), date_1904=is_old)
        [row] = read(file).sheets[0].rows
        first, last = date(2026, 9, 1), date(2026, 12, 31)
        assert {cells.parse_day(value, first, last) for value in row} == {date(2026, 10, 12)}
        assert cells.parse_amount(row[1], "元") == serial * 100
        marked = SourceFile("标注.xlsx", mark(read(file), [], []))
        assert read(marked).sheets[0].rows[0][: len(row)] == row
