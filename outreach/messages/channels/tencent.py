"""Tencent Cloud (sms, version 2021-01-11): SendSms, PullSmsSendStatusByPhoneNumber and what it
pushes.

Requests are signed with TC3-HMAC-SHA256. What is put into a wording goes by position.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

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
from outreach.messages.channels.sms import SmsReply, SmsReport, out_id, provider_number
from outreach.messages.models import ReceiptKind

ENDPOINT = "https://sms.tencentcloudapi.com"
VERSION = "2021-01-11"
ALGORITHM = "TC3-HMAC-SHA256"
CONTENT_TYPE = "application/json; charset=utf-8"
MOST_DETAILS = 100

JUDGES: dict[str, Judge] = {
    # Too much at once, or for today.
    "LimitExceeded": retry,
    "RequestLimitExceeded": retry,
    # This message.
    "InvalidParameterValue": rejected,
    "UnsupportedOperation": rejected,
    "FailedOperation.ContainSensitiveWord": rejected,
    "FailedOperation.PhoneNumberInBlacklist": rejected,
    "FailedOperation.PhoneNumberOnBlacklist": rejected,
    "FailedOperation.PhoneNumberParseFail": rejected,
    # Account, signature, wording: all messages would meet it.
    "AuthFailure": misconfigured,
    "UnauthorizedOperation": misconfigured,
    "InvalidParameterValue.SdkAppIdNotExist": misconfigured,
    "InvalidParameter": misconfigured,
    "MissingParameter": misconfigured,
    "InvalidAction": misconfigured,
    "NoSuchVersion": misconfigured,
    "UnsupportedRegion": misconfigured,
    "IpInBlacklist": misconfigured,
    "IpNotInWhitelist": misconfigured,
    "FailedOperation.SignatureIncorrectOrUnapproved": misconfigured,
    "FailedOperation.TemplateIncorrectOrUnapproved": misconfigured,
    "FailedOperation.TemplateUnapprovedOrNotExist": misconfigured,
    "FailedOperation.MissingSignature": misconfigured,
    "FailedOperation.NotEnterpriseCertification": misconfigured,
    "FailedOperation.InsufficientBalanceInSmsPackage": misconfigured,
    "FailedOperation.JsonParseFail": misconfigured,
    "FailedOperation.FailResolvePacket": misconfigured,
    "InternalError.SigVerificationFail": misconfigured,
    "InternalError.SigFieldMissing": misconfigured,
}


class Tencent:
    def __init__(self, account: "Account", *, signature: str, endpoint: str = "") -> None:
        self._account = account
        self._signature = signature
        self._endpoint = (endpoint or ENDPOINT).rstrip("/")

    def sending(self, message: Outgoing) -> requests.Request:
        return self._request(
            "SendSms",
            {
                "PhoneNumberSet": [message.address],
                "SmsSdkAppId": self._account.app_id,
                "SignName": self._signature,
                "TemplateId": message.provider_template,
                "TemplateParamSet": [value for _name, value in message.variables],
                "SessionContext": out_id(message.id, message.resend_no),
            },
        )

    def read_sending(self, body: dict[str, Any], message: Outgoing) -> Outcome:
        match body:
            case {"Response": {"Error": {"Code": str(code), "Message": str(said)}}}:
                return judge(JUDGES, code, said)
            case {"Response": {"SendStatusSet": [{"Code": str(code), **status}]}}:
                if status.get("SessionContext") != out_id(message.id, message.resend_no):
                    return unknown("answer is about another message")
                if code == "Ok":
                    return accepted(provider_number(status.get("SerialNo")))
                return judge(JUDGES, code, str(status.get("Message", "")))
        return unknown("answer not understood")

    def asking(self, question: Question) -> Iterator[requests.Request]:
        yield self._request(
            "PullSmsSendStatusByPhoneNumber",
            {
                "BeginTime": int(question.since.timestamp()),
                "EndTime": int(question.until.timestamp()),
                "Offset": 0,
                "Limit": MOST_DETAILS,
                "PhoneNumber": question.address,
                "SmsSdkAppId": self._account.app_id,
            },
        )

    def read_fate(self, body: dict[str, Any], question: Question) -> Fate | None:
        match body:
            case {"Response": {"PullSmsSendStatusSet": list(details)}}:
                pass
            case _:
                raise NoAnswer(plain(str(body.get("Response"))))
        ours = out_id(question.message_id, question.resend_no)
        for detail in details:
            match detail:
                case {"SessionContext": session, "ReportStatus": str(status)} if session == ours:
                    kind = _KINDS.get(status)
                    if kind is not None:
                        return Fate(kind, plain(str(detail.get("Description", ""))))
        return None

    def read_reports(self, body: Any) -> Iterator[SmsReport | None]:
        for entry in body if isinstance(body, list) else [body]:
            yield _read_report(entry)

    def read_replies(self, body: Any) -> Iterator[SmsReply | None]:
        for entry in body if isinstance(body, list) else [body]:
            match entry:
                case {"nationcode": str(country), "mobile": str(mobile), "text": str(text)}:
                    yield SmsReply(f"+{country}{mobile}", text)
                case _:
                    yield None

    def _request(self, action: str, parameters: Mapping[str, Any]) -> requests.Request:
        content = json.dumps(parameters, ensure_ascii=False).encode()
        headers = self._account.sign(
            "sms", urlsplit(self._endpoint).netloc, content, at=clock.now()
        )
        headers |= {
            "X-TC-Action": action,
            "X-TC-Version": VERSION,
            "X-TC-Region": self._account.region,
        }
        return requests.Request("POST", f"{self._endpoint}/", headers=headers, data=content)


@dataclass(frozen=True)
class Account:
    secret_id: str
    secret_key: str
    app_id: str
    region: str

    def sign(self, service: str, host: str, content: bytes, *, at: datetime) -> dict[str, str]:
        """The headers that say who calls, of a POST of JSON to the root of `host`."""
        moment = at.astimezone(UTC)
        timestamp, day = str(int(moment.timestamp())), f"{moment:%Y-%m-%d}"
        scope = f"{day}/{service}/tc3_request"
        canonical = (
            f"POST\n/\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}\n\n"
            f"content-type;host\n{hashlib.sha256(content).hexdigest()}"
        )
        to_sign = "\n".join(
            [ALGORITHM, timestamp, scope, hashlib.sha256(canonical.encode()).hexdigest()]
        )
        key = f"TC3{self.secret_key}".encode()
        for part in (day, service, "tc3_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        return {
            "Authorization": f"{ALGORITHM} Credential={self.secret_id}/{scope},"
            f" SignedHeaders=content-type;host, Signature={signature}",
            "Content-Type": CONTENT_TYPE,
            "Host": host,
            "X-TC-Timestamp": timestamp,
        }


_KINDS = {"SUCCESS": ReceiptKind.DELIVERED, "FAIL": ReceiptKind.BOUNCED}


def _read_report(entry: Any) -> SmsReport | None:
    match entry:
        case {
            "nationcode": str(country),
            "mobile": str(mobile),
            "report_status": "SUCCESS" | "FAIL" as status,
            "sid": str(serial),
        }:
            return SmsReport(
                phone=f"+{country}{mobile}",
                kind=_KINDS[status],
                detail=plain(f"{entry.get('errmsg', '')} {entry.get('description', '')}"),
                provider_id=serial,
            )
    return None
