"""The receipts as a file: what is asked for is typed, or taken in, elsewhere."""

from collections.abc import Iterable

from flask_babel import lazy_gettext as _

from outreach import access, clock, money
from outreach.accounts.models import User
from outreach.campaigns.export_pages import name_in_file
from outreach.receipts.models import DonationReceipt
from outreach.spreadsheets.listings import Field, Listing, Style
from outreach.units.models import UnitKind

FIELDS = (
    Field(_("交款人"), width=30),
    Field(_("统一社会信用代码"), width=22),
    Field(_("金额（元）"), Style.YUAN, is_summed=True),
    Field(_("大写"), width=34),
    Field(_("备注"), width=20),
    Field(_("状态"), width=10),
    Field(_("票据代码")),
    Field(_("票据号码")),
    Field(_("校验码")),
    Field(_("开具日期"), Style.DAY, width=12),
    Field(_("到账日期"), Style.DAY, width=12),
    Field(_("申请日期"), Style.DAY, width=12),
)


def list_receipts(receipts: Iterable[DonationReceipt], viewer: User) -> Listing:
    rows = [
        (
            *_payer(receipt, viewer),
            receipt.amount_fen,
            money.in_capitals(receipt.amount_fen),
            receipt.remark,
            receipt.status.label,
            receipt.code,
            receipt.number,
            receipt.check_code,
            receipt.issued_on,
            receipt.gift.received_on,
            clock.local(receipt.requested_at).date(),
        )
        for receipt in receipts
    ]
    return Listing(_("捐赠票据"), FIELDS, rows)


def _payer(receipt: DonationReceipt, viewer: User) -> tuple[str, str]:
    """Name and code; of an army unit, and of the people in it, as they may leave the house."""
    unit = receipt.gift.unit
    if unit is None or unit.kind is not UnitKind.ARMY or viewer.role in access.OFFICE:
        return receipt.payer, receipt.payer_code
    return name_in_file(unit, viewer), ""
