"""会议纪要 as .docx in the form of GB/T 9704: A4, 22 lines of 28 characters, fonts named and not
shipped.

What leaves the house is Chinese, whatever language the reader's pages are in. It names who came,
and neither who did not nor the units that action items are about (decision 0001).
"""

from io import BytesIO
from typing import Any

from docx import Document
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_LINE_SPACING
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt
from flask import current_app

from outreach import clock
from outreach.meetings.models import ActionItem, Meeting
from outreach.meetings.rendering import format_period

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MARGINS_MM = {"top": 37, "bottom": 35, "left": 28, "right": 26}
TITLE, HEADING, BODY, PAGE_NUMBER = "方正小标宋简体", "黑体", "仿宋_GB2312", "宋体"
SIZE_2, SIZE_3, SIZE_4 = 22.0, 16.0, 14.0
"""字号 in points: 2号, 3号, 4号."""
LINE = 28.95
"""Points from line to line, 22 on a page."""


def write_minutes_file(meeting: Meeting) -> bytes:
    document = Document()
    _set_up_page(document)
    _add(document, f"{meeting.title}纪要", TITLE, SIZE_2, is_centred=True)
    _add(document, "")
    for name, text in _facts(meeting):
        _add(document, f"{name}：{text}")
    _add(document, "")
    _section(document, meeting.minutes.splitlines())
    if meeting.decisions:
        _add(document, "会议议定以下事项：", HEADING)
        _section(document, meeting.decisions.splitlines())
    if meeting.action_items:
        _add(document, "会议明确以下待办事项：", HEADING)
        for number, item in enumerate(meeting.action_items, start=1):
            _add(document, f"{number}. {_tell_item(item)}")
    file = BytesIO()
    document.save(file)
    return file.getvalue()


def _facts(meeting: Meeting) -> list[tuple[str, str]]:
    present = [row for row in meeting.attendees if row.signed_in_at]
    names = [
        f"{row.contact.unit.name} {row.delegate_name or row.person.name}"
        if row.contact
        else row.person.name
        for row in present
    ]
    sender: str = current_app.extensions["outreach.settings"].mail_sender_name
    return [
        ("时间", format_period(meeting.starts_at, meeting.ends_at)),
        ("地点", meeting.place or "—"),
        ("召集", f"{sender} {meeting.organizer.name}"),
        ("出席", "、".join(names) or "—"),
    ]


def _tell_item(item: ActionItem) -> str:
    done = f"，{clock.day_of(item.completed_at):%Y-%m-%d}已办结" if item.completed_at else ""
    return f"{item.text}。责任人：{item.owner.name}；期限：{item.due_on:%Y-%m-%d}{done}。"


def _section(document: Any, lines: list[str]) -> None:
    for line in lines:
        if line.strip():
            _add(document, line.strip())


def _add(
    document: Any, text: str, font: str = BODY, size: float = SIZE_3, *, is_centred: bool = False
) -> None:
    paragraph = document.add_paragraph()
    layout = paragraph.paragraph_format
    layout.space_before = layout.space_after = Pt(0)
    layout.line_spacing_rule, layout.line_spacing = WD_LINE_SPACING.EXACTLY, Pt(LINE)
    layout.keep_with_next = font == HEADING
    if is_centred:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        layout.line_spacing = Pt(LINE * size / SIZE_3)
    else:
        layout.first_line_indent = Pt(2 * size)
    _set_font(paragraph.add_run(text), font, size)


def _set_font(run: Any, font: str, size: float) -> None:
    run.font.name, run.font.size = font, Pt(size)
    run._element.rPr.rFonts.set(qn("w:eastAsia"), font)


def _set_up_page(document: Any) -> None:
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    for side, width in MARGINS_MM.items():
        setattr(section, f"{side}_margin", Mm(width))
    footer = section.footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for kind, text in (("", "— "), ("begin", ""), ("", "PAGE"), ("end", ""), ("", " —")):
        run = footer.add_run("" if kind or text == "PAGE" else text)
        _set_font(run, PAGE_NUMBER, SIZE_4)
        if kind:
            mark = OxmlElement("w:fldChar")
            mark.set(qn("w:fldCharType"), kind)
            run._element.append(mark)
        elif text == "PAGE":
            code = OxmlElement("w:instrText")
            code.text = text
            run._element.append(code)
