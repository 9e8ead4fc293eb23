"""Accounts that exist only in the demonstration, one or more for each role."""

from outreach.access import Role

PASSWORD = "demo-2026-outreach"  # noqa: S105
LIAISON_SECTOR = "教育系统"

ACCOUNTS: list[tuple[str, Role, str]] = [
    ("secretary", Role.SECRETARY_GENERAL, "文敬之"),
    ("staff1", Role.STAFF, "周可人"),
    ("staff2", Role.STAFF, "李向阳"),
    ("staff3", Role.STAFF, "陈思源"),
    ("staff4", Role.STAFF, "黄雨晴"),
    ("staff5", Role.STAFF, "刘长风"),
    ("staff6", Role.STAFF, "唐宁"),
    ("liaison1", Role.LIAISON, "彭晓岚"),
    ("auditor", Role.AUDITOR, "谢明鉴"),
    ("admin", Role.ADMINISTRATOR, "邓安"),
]
