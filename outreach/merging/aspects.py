"""Which of two rows wins where both say something: of a unit, and of its place in a campaign."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.campaigns.models import Stage
from outreach.merging.journal import Row

RANK: Final = (
    Stage.NOT_CONTACTED,
    Stage.CONTACTED,
    Stage.VISITED,
    Stage.DECLINED,
    Stage.PLEDGED,
)
"""The later one wins: a unit that declined is not asked again, unless it has pledged."""


@dataclass(frozen=True)
class Aspect:
    label: LazyString
    columns: tuple[str, ...]
    prefers_theirs: Callable[[Row, Row], bool]
    """Whether the loser's value replaces the survivor's; takes the survivor's row, then the
    loser's."""


def _gap(column: str) -> Callable[[Row, Row], bool]:
    return lambda ours, theirs: bool(theirs[column]) and not ours[column]


def _later(column: str) -> Callable[[Row, Row], bool]:
    return lambda ours, theirs: (
        bool(theirs[column]) and (not ours[column] or theirs[column] > ours[column])
    )


def _further(ours: Row, theirs: Row) -> bool:
    return RANK.index(theirs["stage"]) > RANK.index(ours["stage"])


OF_SOLICITATION: Final = (
    Aspect(_("进展"), ("stage", "decline_reason"), _further),
    Aspect(_("劝募人"), ("solicitor_id",), _gap("solicitor_id")),
    Aspect(_("下一步"), ("next_action", "next_action_on"), _gap("next_action")),
    Aspect(_("暂缓到"), ("snoozed_until",), _later("snoozed_until")),
    Aspect(_("今年不劝募"), ("is_exempt",), _gap("is_exempt")),
    Aspect(_("最近联系"), ("last_contact_on",), _later("last_contact_on")),
    Aspect(_("增减原因"), ("change_reason",), _gap("change_reason")),
)
OF_UNIT: Final = (
    Aspect(_("信用代码"), ("credit_code",), _gap("credit_code")),
    Aspect(_("简称"), ("short_name",), _gap("short_name")),
    Aspect(_("短信用名"), ("sms_name",), _gap("sms_name")),
    Aspect(_("公示名称"), ("public_name",), _gap("public_name")),
    Aspect(_("区县"), ("district",), _gap("district")),
    Aspect(_("地址"), ("address",), _gap("address")),
    Aspect(_("接待来访的日子"), ("visit_days",), _gap("visit_days")),
)
