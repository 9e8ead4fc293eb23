"""What the rows of a register say: units, the people there, sector and solicitor."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _

from outreach.spreadsheets import cells, reading, tables
from outreach.spreadsheets.cells import BadValue
from outreach.spreadsheets.layouts import Column, Layout, Problem
from outreach.spreadsheets.tables import Cells, Row, Table
from outreach.units import naming, services
from outreach.units.importing import Plan
from outreach.units.models import ContactRole, UnitKind
from outreach.units.people import SEPARATORS, Person, parse_people

LAYOUT = Layout(
    columns=(
        Column(
            "name",
            "单位名称 捐款单位 捐款单位名称 捐赠单位 捐赠单位名称 单位全称 全称 企业名称 单位 名称",
        ),
        Column(
            "sector",
            "板块 所属板块 板块名称 系统 所属系统 系统名称 归口系统 慈善分会 所属分会 分会",
        ),
        Column("short_name", "简称 单位简称"),
        Column("credit_code", "统一社会信用代码 社会信用代码 统一信用代码 信用代码 税号"),
        Column("kind", "单位性质 单位类型 单位类别 性质 类型"),
        Column("head_count", "人数 单位人数 职工人数 在职人数 在职职工人数 干部职工人数 员工人数"),
        Column("district", "区县 县区 县市区 所属区县 所在区县"),
        Column("address", "地址 单位地址 详细地址 办公地址 通讯地址"),
        Column("contact", "联系人 联络员 联系人姓名 联络员姓名 经办人 姓名"),
        Column(
            "mobile",
            "手机 手机号 手机号码 移动电话 联系人手机 联络员手机 "
            "联系人电话 联络员电话 联系人联系电话 联系电话 联系方式 电话 电话号码",
        ),
        Column("landline", "办公电话 固定电话 座机 单位电话"),
        Column("email", "邮箱 电子邮箱 联系人邮箱 电子邮件 e-mail email"),
        Column("title", "职务 联系人职务 联络员职务"),
        Column("leader", "分管领导 分管领导姓名 主管领导 单位领导"),
        Column("leader_mobile", "分管领导电话 分管领导手机 分管领导联系电话 领导电话 领导联系电话"),
        Column("finance", "财务 财务人员 财务联系人 财务姓名"),
        Column("finance_mobile", "财务电话 财务手机 财务联系电话"),
        Column("solicitor", "劝募人 责任人 劝募责任人 联系责任人 包联人"),
        Column("alias", "曾用名 别名 原名称 原单位名称"),
        Column("note", "备注 说明"),
    ),
    anchors=frozenset({"name"}),
    subject="name",
    group="sector",
)
PEOPLE = {
    ContactRole.COORDINATOR: ("contact", "mobile"),
    ContactRole.LEADER: ("leader", "leader_mobile"),
    ContactRole.FINANCE: ("finance", "finance_mobile"),
}
KINDS = {
    UnitKind.ORGAN: "机关 行政 行政机关 党政机关 国家机关 行政单位",
    UnitKind.INSTITUTION: "事业 事业单位 学校 医院",
    UnitKind.COMPANY: "企业 国企 国有企业 民企 民营企业 私营企业 公司 金融机构",
    UnitKind.UNIVERSITY: "高校 大学 高等院校 高等学校",
    UnitKind.ARMY: "部队 军队",
    UnitKind.ASSOCIATION: "社会组织 社团 社会团体 协会 商会 民办非企业 基金会",
    UnitKind.PARTY: "党派团体 民主党派 党派 群团 群团组织 人民团体",
    UnitKind.OTHER: "其他 其它",
}
KIND_BY_WORD = {word: kind for kind, words in KINDS.items() for word in words.split()}

SAMPLE_HEADER = (
    "板块 单位名称 简称 统一社会信用代码 单位性质 人数 联系人 职务 手机 邮箱 劝募人 备注".split()
)
SAMPLE_ROWS = [
    [
        "公安系统",
        "衡阳市示例局",
        "示例局",
        "",
        "机关",
        120,
        "张三",
        "办公室主任",
        "13800001234",
        "zhangsan@example.org",
        "",
        "",
    ],
    [
        "教育系统",
        "衡阳市示例中学",
        "示例中学",
        "",
        "事业单位",
        86,
        "李四、王五",
        "",
        "13900001234、13700001234",
        "",
        "",
        "",
    ],
]


@dataclass
class Entry:
    """What one row says of a unit; empty where it says nothing."""

    cells: Cells
    sheet: str
    row: int
    name: str
    sector: str
    values: dict[str, Any]
    people: dict[ContactRole, list[Person]]
    solicitor: str
    aliases: list[str]

    @property
    def key(self) -> str:
        return naming.name_key(self.name)

    @property
    def credit_code(self) -> str | None:
        return self.values.get("credit_code")


def parse_row(table: Table, row: Row, plan: Plan, sector_keys: Collection[str]) -> Entry:
    """`sector_keys` are those of the campaign's sectors: a sheet may be called after one."""
    cells_ = Cells(table, row, LAYOUT, plan.problems)
    sheet_name = table.sheet if naming.name_key(table.sheet) in sector_keys else ""
    entry = Entry(
        cells=cells_,
        sheet=table.sheet,
        row=row.number,
        name=cells_.text("name", 120),
        sector=cells_.text("sector", 60) or row.heading[:60] or sheet_name,
        values={
            "short_name": cells_.text("short_name", 60),
            "credit_code": cells_.take("credit_code", parse_credit_code),
            "kind": cells_.take("kind", _parse_kind),
            "head_count": cells_.take("head_count", cells.parse_count),
            "district": cells_.text("district", 40),
            "address": cells_.text("address", 200),
        },
        people={role: _parse_people(cells_, role, plan) for role in PEOPLE},
        solicitor=cells_.text("solicitor", 60).replace(" ", ""),
        aliases=[alias[:120] for alias in SEPARATORS.split(cells_.text("alias", 400)) if alias],
    )
    note = cells_.text("note", 2_000)
    if amount := cells.find_money(note):
        plan.warnings.append(
            cells_.problem(
                "note",
                _("备注里写有金额“%(amount)s”，没有导入", amount=amount),
                _("如是到账捐款，请放进到账明细另行导入。"),
            )
        )
    if not entry.name:
        cells_.refuse(
            "name",
            _("没有单位名称"),
            _("请补上名称；如名称是合并单元格，请取消合并，每行写一个单位。"),
        )
    return entry


def parse_credit_code(value: reading.Value) -> str | None:
    text = cells.text_of(value)
    return None if cells.folded(text) in cells.NOTHING else services.normalise_credit_code(text)


def _parse_kind(value: reading.Value) -> UnitKind | None:
    text = cells.folded(cells.text_of(value))
    if text in cells.NOTHING:
        return None
    if text not in KIND_BY_WORD:
        known = "、".join(str(kind.label) for kind in UnitKind)
        raise BadValue(
            _("不认识的单位性质“%(text)s”", text=text), _("可填：%(known)s。", known=known)
        )
    return KIND_BY_WORD[text]


def _parse_people(row: Cells, role: ContactRole, plan: Plan) -> list[Person]:
    name_field, phone_field = PEOPLE[role]
    names = row.take(name_field, cells.text_of) or ""
    phones = row.take(phone_field, cells.text_of) or ""
    email = title = ""
    if role is ContactRole.COORDINATOR:
        phones = phones or row.take("landline", cells.text_of) or ""
        email = row.take("email", cells.text_of) or ""
        title = row.text("title", 60)
    if not (names or phones or email):
        return []
    people = row.take(name_field, lambda _value: parse_people(names, phones, email, title)) or []
    if not people and not names and (phones or email):
        plan.warnings.append(
            row.problem(
                phone_field if phones else "email",
                _("有电话或邮箱，但没有姓名，没有导入"),
                _("请补上联系人姓名。"),
            )
        )
    for person in people:
        if len(person.name) > 60 or len(person.title) > 60:
            row.refuse(name_field, _("超过 60 个字"), _("请缩短后再导入。"))
        if person.mobile and not services.is_mobile(person.mobile):
            plan.warnings.append(
                row.problem(
                    phone_field,
                    _("%(name)s的号码是固定电话，不能收短信", name=person.name),
                    _("如有手机号码，请补上。"),
                )
            )
    return people


def check_head_counts(table: Table, entries: list[Entry], plan: Plan) -> None:
    """Adds a problem for each 小计 or 合计 of heads that is not the sum of its rows."""
    counts = [entry.values["head_count"] or 0 for entry in entries]
    try:
        for total, written, counted in tables.check_totals(
            table, "head_count", counts, cells.parse_count
        ):
            plan.problems.append(
                Problem(
                    table.sheet,
                    total.number,
                    table.title("head_count"),
                    _(
                        "“%(label)s”写的是 %(written)s 人，各行相加是 %(counted)s 人",
                        label=total.label,
                        written=written,
                        counted=counted,
                    ),
                    _("请核对各行人数，或改正这一行的合计。"),
                )
            )
    except BadValue:
        return  # a total that is no number, such as «共593家», counts something else
