"""Aliyun (dysmsapi, version 2017-05-25): SendSms, QuerySendDetails and what it pushes.

Requests are signed with ACS3-HMAC-SHA256. SendSms is not idempotent: each call is a message.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from outreach import clock
from outreach.messages.channels import (
    Fate,
    NoAnswer,
    Outcome,
    Outgoing,
    Question,
    accepted,
    misconfigured,
    rejected,
    retry,
    unknown,
)
from outreach.messages.channels.exchange import Judge, judge, plain
from outreach.messages.channels.sms import SmsReply, SmsReport, national, out_id, provider_number
from outreach.messages.models import ReceiptKind
from outreach.messages.placeholders import SMS_VARIABLES

ENDPOINT = "https://dysmsapi.aliyuncs.com"
VERSION = "2017-05-25"
ALGORITHM = "ACS3-HMAC-SHA256"
MOST_DETAILS = 50
"""Sendings that QuerySendDetails gives at once; one number gets fewer in a day."""

FAILED, DELIVERED = 2, 3
"""`SendStatus`; 1 is «waiting for the receipt»."""

JUDGES: dict[str, Judge] = {
    # Too much at once, or for today.
    "isv.BUSINESS_LIMIT_CONTROL": retry,
    "isv.DAY_LIMIT_CONTROL": retry,
    "isv.MONTH_LIMIT_CONTROL": retry,
    "Throttling": retry,
    # This message, when nothing else is said below.
    "isv": rejected,
    # Account, signature, wording: all messages would meet it.
    "isv.OUT_OF_SERVICE": misconfigured,
    "isv.AMOUNT_NOT_ENOUGH": misconfigured,
    "isv.PRODUCT_UN_SUBSCRIPT": misconfigured,
    "isv.PRODUCT_UNSUBSCRIBE": misconfigured,
    "isv.ACCOUNT_NOT_EXISTS": misconfigured,
    "isv.ACCOUNT_ABNORMAL": misconfigured,
    "isv.DENY_IP_RANGE": misconfigured,
    "isv.SMS_SIGNATURE_ILLEGAL": misconfigured,
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": misconfigured,
    "isv.SMS_SIGN_ILLEGAL": misconfigured,
    "isv.SIGN_NAME_ILLEGAL": misconfigured,
    "isv.SIGN_STATE_ILLEGAL": misconfigured,
    "isv.SMS_TEMPLATE_ILLEGAL": misconfigured,
    "isv.SYSTEM_ERROR": unknown,
    "isp.RAM_PERMISSION_DENY": misconfigured,
    "SignatureDoesNotMatch": misconfigured,
    "IncompleteSignature": misconfigured,
    "InvalidAccessKeyId": misconfigured,
    "InvalidTimeStamp": misconfigured,
    "Forbidden": misconfigured,
    "NoPermission": misconfigured,
    "MissingParameter": misconfigured,
}


class Aliyun:
    def __init__(self, *, key_id: str, key_secret: str, signature: str, endpoint: str = "") -> None:
        self._key_id = key_id
        self._key_secret = key_secret
        self._signature = signature
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")

    def sending(self, message: Outgoing) -> requests.Request:
        variables = {SMS_VARIABLES[name]: value for name, value in message.variables}
        return self._request(
            "SendSms",
            {
                "PhoneNumbers": national(message.address),
                "SignName": self._signature,
                "TemplateCode": message.provider_template,
                "TemplateParam": json.dumps(variables, ensure_ascii=False),
                "OutId": out_id(message.id, message.resend_no),
            },
        )

    def read_sending(self, body: dict[str, Any], _message: Outgoing) -> Outcome:
        code = body.get("Code")
        if code == "OK":
            return accepted(provider_number(body.get("BizId")))
        if not isinstance(code, str):
            return unknown("answer not understood: no code")
        return judge(JUDGES, code, str(body.get("Message", "")))

    def asking(self, question: Question) -> Iterator[requests.Request]:
        day, last = clock.day_of(question.since), clock.day_of(question.until)
        while day <= last:
            yield self._request(
                "QuerySendDetails",
                {
                    "PhoneNumber": national(question.address),
                    "SendDate": f"{day:%Y%m%d}",
                    "PageSize": str(MOST_DETAILS),
                    "CurrentPage": "1",
                },
            )
            day += timedelta(days=1)

    def read_fate(self, body: dict[str, Any], question: Question) -> Fate | None:
        if body.get("Code") != "OK":
            raise NoAnswer(plain(f"{body.get('Code')}: {body.get('Message')}"))
        ours = out_id(question.message_id, question.resend_no)
        for detail in _details(body):
            if str(detail.get("OutId", "")) == ours:
                said = plain(str(detail.get("ErrCode", "")))
                if detail.get("SendStatus") == DELIVERED:
                    return Fate(ReceiptKind.DELIVERED, said)
                if detail.get("SendStatus") == FAILED:
                    return Fate(ReceiptKind.BOUNCED, said)
        return None

    def read_reports(self, body: Any) -> Iterator[SmsReport | None]:
        for entry in body if isinstance(body, list) else [body]:
            yield _read_report(entry)

    def read_replies(self, body: Any) -> Iterator[SmsReply | None]:
        for entry in body if isinstance(body, list) else [body]:
            match entry:
                case {"phone_number": str(phone), "content": str(text)}:
                    yield SmsReply(phone, text)
                case _:
                    yield None

    def _request(self, action: str, parameters: Mapping[str, str]) -> requests.Request:
        signed = SignedCall(action, VERSION, urlsplit(self._endpoint).netloc, parameters)
        headers = signed.headers(self._key_id, self._key_secret)
        return requests.Request("POST", f"{self._endpoint}/?{signed.query}", headers=headers)


@dataclass(frozen=True)
class SignedCall:
    """A call without content, whose parameters are all in its query."""

    action: str
    version: str
    host: str
    parameters: Mapping[str, str]

    @property
    def query(self) -> str:
        """In the order and spelling in which it is signed."""
        return "&".join(
            f"{_encode(name)}={_encode(value)}" for name, value in sorted(self.parameters.items())
        )

    def headers(
        self, key_id: str, key_secret: str, *, at: datetime | None = None, nonce: str = ""
    ) -> dict[str, str]:
        """`at` and `nonce` are for the documented example."""
        moment = (at or clock.now()).astimezone(UTC)
        headers = {
            "host": self.host,
            "x-acs-action": self.action,
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
            "x-acs-date": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": nonce or secrets.token_hex(16),
            "x-acs-version": self.version,
        }
        headers["Authorization"] = self._authorize(headers, key_id, key_secret)
        return headers | {"Accept": "application/json"}

    def _authorize(self, headers: Mapping[str, str], key_id: str, key_secret: str) -> str:
        names = ";".join(sorted(headers))
        canonical = "\n".join(
            [
                "POST",
                "/",
                self.query,
                *(f"{name}:{headers[name]}" for name in sorted(headers)),
                "",
                names,
                headers["x-acs-content-sha256"],
            ]
        )
        to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        return f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _details(body: dict[str, Any]) -> list[dict[str, Any]]:
    match body:
        case {"SmsSendDetailDTOs": {"SmsSendDetailDTO": list(details)}}:
            return [detail for detail in details if isinstance(detail, dict)]
    return []


def _read_report(entry: Any) -> SmsReport | None:
    match entry:
        case {"phone_number": str(phone), "success": bool(is_delivered), "biz_id": str(biz_id)}:
            return SmsReport(
                phone=phone,
                kind=ReceiptKind.DELIVERED if is_delivered else ReceiptKind.BOUNCED,
                detail=plain(f"{entry.get('err_code', '')} {entry.get('err_msg', '')}"),
                provider_id=biz_id,
                out_id=str(entry.get("out_id", "")),
            )
    return None
