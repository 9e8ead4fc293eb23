"""Receipts are requested, issued under a number, and reversed; their sum never exceeds the gift."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock, money
from outreach.accounts.models import User
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts.models import Gift, GiftBasis
from outreach.receipts.models import DonationReceipt, ReceiptStatus
from outreach.receipts.queries import sum_standing


@dataclass(frozen=True)
class ReceiptRequest:
    payer: str
    amount_fen: int
    payer_code: str = ""
    remark: str = ""


def request_receipts(
    gift: Gift, requests: Sequence[ReceiptRequest], *, by: User | None
) -> list[DonationReceipt]:
    """All of them or none. Refused when they come to more than what is left of the gift, or when
    the gift was reversed or never came into the account."""
    # Whoever reverses the gift, or asks for another receipt, holds it too.
    db.session.refresh(gift, with_for_update=True)
    _check_gift(gift)
    asked = sum(request.amount_fen for request in requests)
    left = gift.amount_fen - sum_standing(gift)
    if any(request.amount_fen <= 0 for request in requests):
        raise Refused(_("金额必须大于 0。"))
    if asked > left:
        raise Refused(
            _(
                "申请开票合计 %(asked)s 元，这笔到账还能开 %(left)s 元，"
                "超出 %(difference)s 元。请核对金额。",
                asked=money.format_yuan(asked),
                left=money.format_yuan(left),
                difference=money.format_yuan(asked - left),
            )
        )
    now = clock.now()
    receipts = [
        DonationReceipt(
            gift_id=gift.id,
            payer=request.payer,
            payer_code=request.payer_code,
            amount_fen=request.amount_fen,
            remark=request.remark,
            requested_at=now,
            requested_by_id=by.id if by else None,
        )
        for request in requests
    ]
    db.session.add_all(receipts)
    db.session.flush()
    audit.record("request.receipts", f"gift:{gift.id}", count=len(receipts), amount_fen=asked)
    return receipts


def issue_receipts(
    receipts: Sequence[DonationReceipt],
    *,
    code: str,
    first_number: str,
    issued_on: date,
    by: User | None,
) -> None:
    """Gives the requests consecutive numbers in their order. Refused when one of the numbers was
    used before; Conflict when somebody else was faster with one of the requests."""
    if issued_on > clock.today():
        raise Refused(_("开具日期不能晚于今天。"))
    numbers = count_on(first_number, len(receipts))
    _hold(receipts, ReceiptStatus.REQUESTED)
    for receipt in receipts:
        _check_gift(receipt.gift)
    used = db.session.scalars(
        sa.select(DonationReceipt.number)
        .where(DonationReceipt.code == code, DonationReceipt.number.in_(numbers))
        .order_by(DonationReceipt.number)
    ).first()
    if used is not None:
        raise Refused(_("票据号码 %(number)s 已经用过。请核对号码。", number=used))
    for receipt, number in zip(receipts, numbers, strict=True):
        receipt.status = ReceiptStatus.ISSUED
        receipt.code, receipt.number, receipt.issued_on = code, number, issued_on
        receipt.issued_by_id = by.id if by else None
        audit.record("issue.receipt", f"receipt:{receipt.id}", code=code, number=number)
    db.session.flush()


def note_check_code(receipt: DonationReceipt, check_code: str) -> None:
    """Part of the number that can only be read from the finished receipt."""
    receipt.check_code = check_code
    audit.record("note.check_code", f"receipt:{receipt.id}", check_code=check_code)
    db.session.flush()


def reverse_receipt(
    receipt: DonationReceipt, *, reason: str, reversal_number: str, by: User | None
) -> None:
    """Takes an issued receipt back; the amount may be certified anew."""
    _hold([receipt], ReceiptStatus.ISSUED)
    receipt.reversal_number = reversal_number
    _end(receipt, ReceiptStatus.REVERSED, reason, by)
    audit.record(
        "reverse.receipt", f"receipt:{receipt.id}", reason=reason, reversal_number=reversal_number
    )


def withdraw_request(receipt: DonationReceipt, *, reason: str, by: User | None) -> None:
    _hold([receipt], ReceiptStatus.REQUESTED)
    _end(receipt, ReceiptStatus.WITHDRAWN, reason, by)
    audit.record("withdraw.receipt", f"receipt:{receipt.id}", reason=reason)


def count_on(first: str, count: int) -> list[str]:
    """Numbers with as many digits as the first; Refused when they do not suffice."""
    if not (first.isascii() and first.isdecimal()):
        raise Refused(_("票据号码“%(number)s”不是数字。", number=first))
    numbers = [str(int(first) + step).zfill(len(first)) for step in range(count)]
    if len(numbers[-1]) > len(first):
        raise Refused(
            _("从 %(number)s 起不够 %(count)s 个号码。请分次开具。", number=first, count=count)
        )
    return numbers


def _check_gift(gift: Gift) -> None:
    if gift.basis is GiftBasis.OUTSIDE_ACCOUNT:
        raise Refused(_("这笔捐款没有进入本会账户，应由收款单位开具票据。"))
    reversed_by = sa.select(Gift.id).where(Gift.reversal_of_id == gift.id)
    if gift.reversal_of_id is not None or db.session.scalar(reversed_by) is not None:
        raise Refused(_("这笔到账已经冲正，不能开具票据。"))


def _hold(receipts: Sequence[DonationReceipt], status: ReceiptStatus) -> None:
    """Keeps others from changing them until the transaction ends; Conflict when one of them is not
    in the status any more."""
    for receipt in sorted(receipts, key=lambda receipt: receipt.id):
        db.session.refresh(receipt, with_for_update={"of": DonationReceipt})
        if receipt.status is not status:
            raise Conflict(
                _(
                    "“%(payer)s”的票据%(status)s，没有改动。请刷新后再试。",
                    payer=receipt.payer,
                    status=receipt.status.label,
                )
            )


def _end(receipt: DonationReceipt, status: ReceiptStatus, reason: str, by: User | None) -> None:
    receipt.status, receipt.reason = status, reason
    receipt.ended_at = clock.now()
    receipt.ended_by_id = by.id if by else None
    db.session.flush()
