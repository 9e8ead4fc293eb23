"""Pages of the donation receipts."""

from http import HTTPStatus
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from flask_login import current_user

from outreach import money
from outreach.campaigns.export_pages import send_listings
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import Form
from outreach.gifts.models import Gift
from outreach.gifts.queries import get_gift
from outreach.receipts import exports, queries, services
from outreach.receipts.forms import CheckCodeForm, EndForm, IssueForm, PeopleForm, RequestForm
from outreach.receipts.models import ReceiptStatus
from outreach.web import page_number

bp = campaign_blueprint("receipts", __name__)
RECEIPTS_ON_A_PAGE = 50


@bp.get("/receipts")
def list_receipts() -> ResponseReturnValue:
    status, search = _wanted()
    page = db.paginate(
        queries.select_receipts(g.campaign, status, search),
        page=page_number(),
        per_page=RECEIPTS_ON_A_PAGE,
        error_out=False,
    )
    return render_template(
        "receipts/list.html",
        page=page,
        status=status,
        statuses=ReceiptStatus,
        coverage=queries.sum_coverage(g.campaign),
        of_reversed=queries.list_of_reversed_gifts(g.campaign),
        overdue=queries.list_overdue(g.campaign),
        gaps=queries.list_number_gaps(g.campaign),
        page_url=_page_url,
    )


@bp.get("/receipts/export")
def export() -> ResponseReturnValue:
    found = db.session.scalars(queries.select_receipts(g.campaign, *_wanted()))
    return send_listings(_("捐赠票据"), [exports.list_receipts(found, current_user)])


@bp.get("/gifts/<int:gift_id>/receipts")
def of_gift(gift_id: int) -> ResponseReturnValue:
    gift = get_gift(g.campaign, gift_id)
    return _show_gift(gift, _form_for(gift), PeopleForm(formdata=None))


@bp.post("/gifts/<int:gift_id>/receipts")
def request_receipt(gift_id: int) -> ResponseReturnValue:
    gift = get_gift(g.campaign, gift_id)
    form = RequestForm()
    return _request(gift, form, form, PeopleForm(formdata=None))


@bp.post("/gifts/<int:gift_id>/receipts/people")
def request_for_people(gift_id: int) -> ResponseReturnValue:
    gift = get_gift(g.campaign, gift_id)
    form = PeopleForm()
    return _request(gift, form, _form_for(gift), form)


@bp.route("/receipts/issue", methods=["GET", "POST"])
def issue() -> ResponseReturnValue:
    form = IssueForm(queries.list_requested(g.campaign))
    if not form.validate_on_submit():
        return render_template("receipts/issue.html", form=form), _status(form)
    try:
        services.issue_receipts(
            form.chosen,
            code=form.code.data,
            first_number=form.first_number.data,
            issued_on=form.issued_on.data,
            by=current_user,
        )
    except Refused as refusal:
        db.session.rollback()
        form.first_number.errors = [refusal.message]
        return render_template("receipts/issue.html", form=form), refusal.status
    db.session.commit()
    count = len(form.chosen)
    flash(ngettext("已登记 %(num)s 张票据。", "已登记 %(num)s 张票据。", count), "success")
    return redirect(url_for(".list_receipts", status=ReceiptStatus.ISSUED.value))


@bp.get("/receipts/<int:receipt_id>")
def receipt(receipt_id: int) -> ResponseReturnValue:
    return _show(receipt_id, EndForm(formdata=None), CheckCodeForm(formdata=None))


@bp.post("/receipts/<int:receipt_id>/check-code")
def note_check_code(receipt_id: int) -> ResponseReturnValue:
    found = queries.get_receipt(g.campaign, receipt_id)
    form = CheckCodeForm()
    if not form.validate_on_submit():
        return _show(receipt_id, EndForm(formdata=None), form)
    services.note_check_code(found, form.check_code.data)
    db.session.commit()
    flash(_("已记下校验码。"), "success")
    return redirect(url_for(".receipt", receipt_id=receipt_id))


@bp.post("/receipts/<int:receipt_id>/reverse")
def reverse(receipt_id: int) -> ResponseReturnValue:
    found = queries.get_receipt(g.campaign, receipt_id)
    form = EndForm()
    if not form.validate_on_submit():
        return _show(receipt_id, form, CheckCodeForm(formdata=None))
    services.reverse_receipt(
        found,
        reason=form.reason.data,
        reversal_number=form.reversal_number.data or "",
        by=current_user,
    )
    db.session.commit()
    flash(_("已登记冲红。这笔到账可以重新申请票据。"), "success")
    return redirect(url_for(".receipt", receipt_id=receipt_id))


@bp.post("/receipts/<int:receipt_id>/withdraw")
def withdraw(receipt_id: int) -> ResponseReturnValue:
    found = queries.get_receipt(g.campaign, receipt_id)
    form = EndForm()
    if not form.validate_on_submit():
        return _show(receipt_id, form, CheckCodeForm(formdata=None))
    services.withdraw_request(found, reason=form.reason.data, by=current_user)
    db.session.commit()
    flash(_("已撤回申请。"), "success")
    return redirect(url_for(".receipt", receipt_id=receipt_id))


def _wanted() -> tuple[ReceiptStatus | None, str]:
    """Status and text that the address asks for."""
    status = next((row for row in ReceiptStatus if row == request.args.get("status")), None)
    return status, request.args.get("q", "").strip()


def _request(
    gift: Gift, form: RequestForm | PeopleForm, single: RequestForm, people: PeopleForm
) -> ResponseReturnValue:
    if not form.validate_on_submit():
        return _show_gift(gift, single, people)
    try:
        receipts = services.request_receipts(gift, form.requests, by=current_user)
    except Refused as refusal:
        db.session.rollback()
        field = form.people if isinstance(form, PeopleForm) else form.amount_fen
        field.errors = [refusal.message]
        return _show_gift(gift, single, people)
    db.session.commit()
    count = len(receipts)
    flash(ngettext("已申请 %(num)s 张票据。", "已申请 %(num)s 张票据。", count), "success")
    return redirect(url_for(".of_gift", gift_id=gift.id))


def _form_for(gift: Gift) -> RequestForm:
    """For what is left of the gift, to the unit that gave it."""
    unit = gift.unit
    return RequestForm(
        formdata=None,
        data={
            "payer": unit.name if unit else "",
            "payer_code": (unit.credit_code or "") if unit else "",
            "amount_fen": gift.amount_fen - queries.sum_standing(gift),
        },
    )


def _show_gift(gift: Gift, form: RequestForm, people: PeopleForm) -> ResponseReturnValue:
    left = gift.amount_fen - queries.sum_standing(gift)
    page = render_template(
        "receipts/gift.html",
        gift=gift,
        receipts=queries.list_of_gift(gift),
        left_fen=left,
        form=form,
        people=people,
    )
    return page, _status(form, people)


def _show(receipt_id: int, end: EndForm, check_code: CheckCodeForm) -> ResponseReturnValue:
    found = queries.get_receipt(g.campaign, receipt_id)
    page = render_template(
        "receipts/receipt.html",
        receipt=found,
        capitals=money.in_capitals(found.amount_fen),
        end=end,
        check_code=check_code,
    )
    return page, _status(end, check_code)


def _page_url(number: int) -> str:
    filters: dict[str, Any] = request.args.to_dict()
    return url_for(".list_receipts", **filters | {"page": number})


def _status(*forms: Form) -> HTTPStatus:
    has_errors = any(form.errors for form in forms)
    return HTTPStatus.UNPROCESSABLE_ENTITY if has_errors else HTTPStatus.OK
