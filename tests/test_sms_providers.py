"""What becomes of a text message, whatever the provider does: a table for both providers."""

import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import config
from outreach.messages.channels import Fate, NoAnswer, Question, Verdict, exchange
from outreach.messages.channels.aliyun import Aliyun, SignedCall
from outreach.messages.channels.sms import SmsChannel
from outreach.messages.channels.tencent import Account, Tencent
from outreach.messages.linting import SMS_BANNED_PLACEHOLDERS
from outreach.messages.models import ReceiptKind
from outreach.messages.placeholders import PLACEHOLDERS, SMS_VARIABLES
from tests import sms_server
from tests.services import PATIENCE
from tests.sms_server import (
    CLOSES_AFTER_READING,
    CLOSES_BEFORE_READING,
    HANGS,
    Misbehaviour,
    SmsServer,
    says,
)
from tests.test_channels_email import make_outgoing

V = Verdict
NOW = datetime(2026, 10, 20, 2, 0, tzinfo=UTC)


def make_channel(
    provider: str,
    endpoint: str,
    *,
    key_secret: str = sms_server.KEY_SECRET,
    read_timeout: float = PATIENCE,
):
    if provider == "aliyun":
        service = Aliyun(
            key_id=sms_server.KEY_ID, key_secret=key_secret, signature="慈善总会", endpoint=endpoint
        )
    else:
        account = Account(sms_server.KEY_ID, key_secret, sms_server.APP_ID, "ap-guangzhou")
        service = Tencent(account, signature="慈善总会", endpoint=endpoint)
    return SmsChannel(service, signature="慈善总会", read_timeout=read_timeout)


def make_text(**values):
    return make_outgoing(
        **{
            "address": "+8613812345678",
            "body_text": "李敏您好：请于12月31日前报送市财政局联络登记表。",
            "provider_template": "SMS_1234",
            "variables": [["联系人", "李敏"], ["截止日期", "12月31日"], ["单位名称", "市财政局"]],
        }
        | values
    )


def deliver(channel: SmsChannel, *messages):
    return list(channel.deliver(messages or [make_text()]))


def aliyun_error(code: str, status: int = 200) -> Misbehaviour:
    return says(status, {"Code": code, "Message": f"{code} 13812345678"})


def tencent_error(code: str) -> Misbehaviour:
    return says(200, {"Response": {"Error": {"Code": code, "Message": "+8613812345678"}}})


def tencent_status(code: str, session: str = "7.0") -> Misbehaviour:
    status = {"SerialNo": "", "Code": code, "Message": "13812345678", "SessionContext": session}
    return says(200, {"Response": {"SendStatusSet": [status]}})


COMMON = [
    (CLOSES_BEFORE_READING, V.UNKNOWN),
    (CLOSES_AFTER_READING, V.UNKNOWN),
    (HANGS, V.UNKNOWN),
    (says(200, b"<html>proxy</html>"), V.UNKNOWN),
    (says(200, b""), V.UNKNOWN),
    (says(200, b"[]"), V.UNKNOWN),
    (says(200, b"{}"), V.UNKNOWN),
    (says(200, b"[" * 100_000), V.UNKNOWN),
    (says(302, b""), V.UNKNOWN),
    (says(429, b"slow down"), V.RETRY),
    (says(500, b"{}"), V.UNKNOWN),
    (says(503, b"busy"), V.UNKNOWN),
]
OUTCOMES = [
    *(("aliyun", *case) for case in COMMON),
    *(("tencent", *case) for case in COMMON),
    ("aliyun", aliyun_error("isv.BUSINESS_LIMIT_CONTROL"), V.RETRY),
    ("aliyun", aliyun_error("isv.DAY_LIMIT_CONTROL"), V.RETRY),
    ("aliyun", aliyun_error("Throttling.User", 400), V.RETRY),
    ("aliyun", aliyun_error("isv.MOBILE_NUMBER_ILLEGAL"), V.REJECTED),
    ("aliyun", aliyun_error("isv.PARAM_LENGTH_LIMIT"), V.REJECTED),
    ("aliyun", aliyun_error("isv.TEMPLATE_MISSING_PARAMETERS"), V.REJECTED),
    ("aliyun", aliyun_error("isv.SMS_TEMPLATE_ILLEGAL"), V.MISCONFIGURED),
    ("aliyun", aliyun_error("isv.SMS_SIGNATURE_ILLEGAL"), V.MISCONFIGURED),
    ("aliyun", aliyun_error("isv.AMOUNT_NOT_ENOUGH"), V.MISCONFIGURED),
    ("aliyun", aliyun_error("isv.OUT_OF_SERVICE"), V.MISCONFIGURED),
    ("aliyun", aliyun_error("isp.RAM_PERMISSION_DENY"), V.MISCONFIGURED),
    ("aliyun", aliyun_error("SignatureDoesNotMatch", 400), V.MISCONFIGURED),
    ("aliyun", aliyun_error("InvalidAccessKeyId.NotFound", 404), V.MISCONFIGURED),
    # The request was seen before: it is not known what became of it then.
    ("aliyun", aliyun_error("SignatureNonceUsed", 400), V.UNKNOWN),
    ("aliyun", aliyun_error("isp.SYSTEM_ERROR"), V.UNKNOWN),
    ("aliyun", aliyun_error("never.heard.of"), V.UNKNOWN),
    ("aliyun", says(200, {"Code": 0}), V.UNKNOWN),
    ("tencent", tencent_status("LimitExceeded.PhoneNumberThirtySecondLimit"), V.RETRY),
    ("tencent", tencent_error("RequestLimitExceeded.UinLimitExceeded"), V.RETRY),
    ("tencent", tencent_status("InvalidParameterValue.IncorrectPhoneNumber"), V.REJECTED),
    ("tencent", tencent_status("InvalidParameterValue.TemplateParameterLengthLimit"), V.REJECTED),
    ("tencent", tencent_status("FailedOperation.PhoneNumberInBlacklist"), V.REJECTED),
    ("tencent", tencent_status("FailedOperation.ContainSensitiveWord"), V.REJECTED),
    (
        "tencent",
        tencent_status("FailedOperation.TemplateIncorrectOrUnapproved"),
        V.MISCONFIGURED,
    ),
    (
        "tencent",
        tencent_status("FailedOperation.SignatureIncorrectOrUnapproved"),
        V.MISCONFIGURED,
    ),
    (
        "tencent",
        tencent_status("FailedOperation.InsufficientBalanceInSmsPackage"),
        V.MISCONFIGURED,
    ),
    ("tencent", tencent_error("InvalidParameterValue.SdkAppIdNotExist"), V.MISCONFIGURED),
    ("tencent", tencent_error("AuthFailure.SignatureFailure"), V.MISCONFIGURED),
    ("tencent", tencent_error("UnauthorizedOperation.SdkAppIdIsDisabled"), V.MISCONFIGURED),
    ("tencent", tencent_error("InternalError.Timeout"), V.UNKNOWN),
    ("tencent", tencent_error("FailedOperation.NeverHeardOf"), V.UNKNOWN),
    ("tencent", tencent_status("Ok", session="8.0"), V.UNKNOWN),
]


@pytest.mark.parametrize(("provider", "misbehaviour", "verdict"), OUTCOMES)
def test_what_a_provider_does_decides_what_is_known(provider, misbehaviour, verdict):
    with SmsServer(misbehaviour) as server:
        channel = make_channel(provider, server.endpoint, read_timeout=server.patience)
        first, second = deliver(channel, make_text(), make_text(id=8))
    assert first.verdict is verdict, first
    assert "138" not in first.answer
    assert second.verdict is V.ACCEPTED
    assert len(server.messages) <= 2  # nothing is ever sent a second time


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_a_message_is_taken_with_its_wording_and_our_number(provider: str):
    with SmsServer() as server:
        (outcome,) = deliver(make_channel(provider, server.endpoint))
    assert outcome.verdict is V.ACCEPTED
    assert server.refused == []
    (taken,) = server.messages
    if provider == "aliyun":
        assert outcome.provider_id == "1^0"
        assert json.loads(taken.pop("TemplateParam")) == {
            "contact": "李敏",
            "deadline": "12月31日",
            "unit": "市财政局",
        }
        assert taken == {
            "PhoneNumbers": "13812345678",
            "SignName": "慈善总会",
            "TemplateCode": "SMS_1234",
            "OutId": "7.0",
        }
    else:
        assert outcome.provider_id == "5000:1"
        assert taken == {
            "PhoneNumberSet": ["+8613812345678"],
            "SmsSdkAppId": sms_server.APP_ID,
            "SignName": "慈善总会",
            "TemplateId": "SMS_1234",
            "TemplateParamSet": ["李敏", "12月31日", "市财政局"],
            "SessionContext": "7.0",
        }


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_a_wrong_secret_is_our_fault(provider: str):
    with SmsServer() as server:
        (outcome,) = deliver(make_channel(provider, server.endpoint, key_secret="wrong"))
    assert outcome.verdict is V.MISCONFIGURED
    assert (server.refused, server.messages) == (["signature"], [])


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_what_never_reached_the_provider_is_tried_again(provider: str):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    (outcome,) = deliver(make_channel(provider, f"http://127.0.0.1:{port}"))
    assert outcome.verdict is V.RETRY


def test_a_handshake_that_fails_comes_before_the_request():
    with SmsServer() as server:
        (outcome,) = deliver(make_channel("aliyun", f"https://{server.host}"))
    assert outcome.verdict is V.RETRY
    assert server.messages == []


def test_a_certificate_that_nobody_vouches_for_is_our_fault(certificate: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with SmsServer(tls=context) as server:
        port = server.host.rpartition(":")[2]
        (outcome,) = deliver(make_channel("aliyun", f"https://localhost:{port}"))
    assert outcome.verdict is V.MISCONFIGURED
    assert server.messages == []


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_a_wording_without_its_number_is_not_even_tried(provider: str):
    with SmsServer() as server:
        (outcome,) = deliver(
            make_channel(provider, server.endpoint), make_text(provider_template="")
        )
    assert (outcome.verdict, server.calls) == (V.REJECTED, [])


def test_a_foreign_signature_is_refused_by_every_provider():
    with SmsServer() as server:
        (outcome,) = deliver(
            make_channel("aliyun", server.endpoint), make_text(body_text="【某某银行】通知")
        )
    assert (outcome.verdict, server.calls) == (V.REJECTED, [])


def test_numbers_of_other_countries_go_without_the_plus_to_aliyun():
    with SmsServer() as server:
        deliver(make_channel("aliyun", server.endpoint), make_text(address="+85261234567"))
    assert server.messages[0]["PhoneNumbers"] == "85261234567"


def test_aliyun_requests_are_signed_as_in_its_documentation():
    call = SignedCall(
        "RunInstances",
        "2014-05-26",
        "ecs.cn-shanghai.aliyuncs.com",
        {
            "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
            "RegionId": "cn-shanghai",
        },
    )
    headers = call.headers(
        "YourAccessKeyId",
        "YourAccessKeySecret",
        at=datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC),
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert headers["Authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;"
        "x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_tencent_requests_are_signed_as_in_its_documentation():
    account = Account(
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "", ""
    )
    content = (
        rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    )
    moment = datetime.fromtimestamp(1551113065, UTC)
    headers = account.sign("cvm", "cvm.tencentcloudapi.com", content, at=moment)
    assert headers["Authorization"].endswith(
        "/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, "
        "Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


def test_every_placeholder_of_text_messages_has_a_name_that_providers_take():
    names = set(PLACEHOLDERS) - set(SMS_BANNED_PLACEHOLDERS)
    assert set(SMS_VARIABLES) == names
    variables = list(SMS_VARIABLES.values())
    assert len(set(variables)) == len(variables)
    assert all(name.isascii() and name.isalpha() for name in variables)


# Questions about what became of a message

ALIYUN_PHONE, TENCENT_PHONE = "13812345678", "+8613812345678"
QUESTION = Question(7, 0, "+8613812345678", NOW - timedelta(minutes=30), NOW)


@pytest.mark.parametrize(
    ("provider", "fates", "kind"),
    [
        ("aliyun", {"7.0": (ALIYUN_PHONE, 3)}, ReceiptKind.DELIVERED),
        ("aliyun", {"7.0": (ALIYUN_PHONE, 2)}, ReceiptKind.BOUNCED),
        ("aliyun", {"7.0": (ALIYUN_PHONE, 1)}, None),
        ("aliyun", {"7.1": (ALIYUN_PHONE, 3), "8.0": (ALIYUN_PHONE, 3)}, None),
        ("aliyun", {}, None),
        ("tencent", {"7.0": (TENCENT_PHONE, "SUCCESS")}, ReceiptKind.DELIVERED),
        ("tencent", {"7.0": (TENCENT_PHONE, "FAIL")}, ReceiptKind.BOUNCED),
        ("tencent", {"7.0": (TENCENT_PHONE, "WAITING")}, None),
        ("tencent", {"7.1": (TENCENT_PHONE, "SUCCESS")}, None),
        ("tencent", {}, None),
    ],
)
def test_only_a_definite_answer_about_this_very_sending_counts(provider, fates, kind):
    with SmsServer() as server:
        server.fates = fates
        fate = make_channel(provider, server.endpoint).ask(QUESTION)
    assert server.refused == []
    assert (fate.kind if isinstance(fate, Fate) else None) is kind


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
@pytest.mark.parametrize(
    "misbehaviour",
    [
        HANGS,
        CLOSES_AFTER_READING,
        says(200, b"?"),
        says(200, {"Code": "isv.X"}),
        says(200, {"Response": {"Error": {"Code": "InternalError", "Message": "x"}}}),
        says(500, b""),
        says(429, b""),
    ],
)
def test_an_unreadable_answer_to_a_question_is_no_answer(provider, misbehaviour):
    with SmsServer(misbehaviour) as server, pytest.raises(NoAnswer):
        make_channel(provider, server.endpoint, read_timeout=server.patience).ask(QUESTION)


def test_a_question_over_midnight_is_asked_for_both_days():
    question = Question(
        7, 0, "+8613812345678", NOW.replace(hour=15, minute=50), NOW.replace(hour=16, minute=10)
    )
    with SmsServer() as server:
        make_channel("aliyun", server.endpoint).ask(question)
    days = [call.parameters["SendDate"] for call in server.calls]
    assert days == ["20261020", "20261021"]


def test_the_time_limits_of_a_line_are_those_of_the_settings():
    assert config.SMS_CONNECT_TIMEOUT == exchange.CONNECT_TIMEOUT
