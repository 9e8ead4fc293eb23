"""What SMS providers insist on: in the template form, in a wave's preview, at the gate, and the way
of a wave to the provider and back."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.errors import Refused
from outreach.messages import delivery, gate, provider_rules, queries, rates
from outreach.messages.addresses import normalise_address
from outreach.messages.channels import accepted
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.reminders import services
from outreach.reminders.audience import AudienceFilter
from outreach.reminders.services import WavePlan
from tests import fake_channel
from tests.conftest import noting_statements
from tests.factories import (
    make_campaign,
    make_contact,
    make_message,
    make_running_wave,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
)
from tests.sms_office import SECRET, local_provider, use_provider

S = MessageStatus
NOTICE = "((联系人))您好：请于((截止日期))前报送((单位名称))联络登记表，((联系人))收。"


def make_text_of_wave(**values) -> Message:
    """The queued text message of a wave to one unit."""
    make_running_wave(1, channel=Channel.SMS)
    message = db.session.query(Message).order_by(Message.id.desc()).first()
    for name, value in ({"provider_template": "SMS_1"} | values).items():
        setattr(message, name, value)
    db.session.commit()
    return message


def make_wave(version: TemplateVersion, *names: str):
    campaign = make_campaign()
    for number, name in enumerate(names or ("财政局",)):
        unit = make_unit(
            name=f"衡阳市{name}", sms_name=name if len(name) < 20 else "", short_name=""
        )
        make_contact(unit, name="李敏", mobile=f"+8613812345{number:03d}")
        make_solicitation(campaign, unit=unit)
    author = make_user(Role.STAFF)
    plan = WavePlan(
        "登记表",
        version,
        AudienceFilter(),
        clock.now(),
        clock.now() + timedelta(days=1),
    )
    wave = services.create_wave(campaign, plan, author=author)
    db.session.commit()
    return wave, author


def make_notice(**values) -> TemplateVersion:
    return make_template(
        Channel.SMS, **{"subject": "", "body": NOTICE, "provider_template": "SMS_1"} | values
    )


# The template form


@pytest.mark.parametrize(
    ("provider", "registered"),
    [
        (
            "aliyun",
            "${contact}您好：请于${deadline}前报送${unit}联络登记表，${contact}收。",
        ),
        ("tencent", "{1}您好：请于{2}前报送{3}联络登记表，{4}收。"),
    ],
)
def test_the_form_shows_what_is_to_be_registered(app: Flask, sign_in, provider, registered):
    use_provider(app, provider)
    answer = sign_in().post("/templates/preview", data={"channel": "sms", "body": NOTICE})
    assert registered in answer.text


def test_with_the_simulator_nothing_is_registered(sign_in):
    answer = sign_in().post("/templates/preview", data={"channel": "sms", "body": NOTICE})
    assert "报备" not in answer.text


def test_the_number_at_the_provider_is_kept_and_another_one_is_another_version(app: Flask, sign_in):
    client = sign_in()
    data = {"name": "登记表", "channel": "sms", "body": NOTICE, "provider_template": " SMS_1 "}
    assert client.post("/templates/new", data=data).status_code == 302
    version = db.session.query(TemplateVersion).one()
    assert version.provider_template == "SMS_1"
    address = f"/templates/{version.template_id}/edit"
    page = client.get(address)
    assert 'value="SMS_1"' in page.text
    client.post(address, data=data | {"provider_template": "SMS_2", "version": "1"})
    numbers = [version.provider_template for version in db.session.query(TemplateVersion)]
    assert sorted(numbers) == ["SMS_1", "SMS_2"]


def test_a_number_that_cannot_be_one_is_refused(sign_in):
    data = {"name": "登记表", "channel": "sms", "body": NOTICE, "provider_template": "第一号"}
    answer = sign_in().post("/templates/new", data=data)
    assert answer.status_code == 422
    assert "编号只有字母、数字和下划线" in answer.text


# Waves


def test_a_wave_cannot_be_submitted_without_the_number_of_its_wording(app: Flask):
    open_sending()
    use_provider(app, "aliyun")
    wave, author = make_wave(make_notice(provider_template=""))
    with pytest.raises(Refused, match="没有平台模板编号"):
        services.submit_wave(wave, by=author)


def test_with_the_simulator_a_wave_needs_no_number(app: Flask):
    open_sending()
    wave, author = make_wave(make_notice(provider_template=""))
    services.submit_wave(wave, by=author)
    assert wave.status is WaveStatus.IN_REVIEW


def test_what_the_provider_will_not_take_is_told_before(app: Flask, sign_in):
    use_provider(app, "aliyun")
    wave, _author = make_wave(make_notice(), "财政局", "名" * 36)
    page = sign_in().get(f"/c/{code_of(wave)}/waves/{wave.id}")
    assert "有 1 条的内容短信平台不接受" in page.text
    assert "衡阳市" + "名" * 36 in page.text


@pytest.mark.parametrize(
    ("name", "is_told"),
    [
        ("2026年慈善一日捐", False),
        ("2026年慈善募捐月", True),
        ("2026年爱心捐 款", True),
    ],
)
def test_a_campaign_named_by_an_appeal_is_told_before(app: Flask, sign_in, name, is_told):
    version = make_notice(body="((联系人))您好：请报送((活动名称))联络登记表。")
    wave, _author = make_wave(version)
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    campaign.name = name
    db.session.commit()
    page = sign_in().get(f"/c/{campaign.code}/waves/{wave.id}")
    assert ("有 1 条的内容短信平台不接受" in page.text) is is_told


def code_of(wave: Wave) -> str:
    return db.session.get_one(Campaign, wave.campaign_id).code


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_from_the_wave_to_the_delivery(app: Flask, client, provider: str):
    open_sending()
    with local_provider(app, provider) as server:
        wave, author = make_wave(make_notice())
        services.submit_wave(wave, by=author)
        services.approve_wave(wave, by=make_user(Role.SECRETARY_GENERAL))
        services.start_wave(wave)
        db.session.commit()
        assert delivery.drain() == 1
    (taken,) = server.messages
    message = db.session.query(Message).one()
    assert message.status is S.SENT
    assert message.variables == [
        ["联系人", "李敏"],
        ["截止日期", "12月31日"],
        ["单位名称", "财政局"],
        ["联系人", "李敏"],
    ]
    assert message.provider_template == "SMS_1"
    if provider == "aliyun":
        assert taken["OutId"] == f"{message.id}.0"
        report = {"phone_number": "13812345000", "success": True, "biz_id": message.provider_id}
        report["out_id"] = taken["OutId"]
    else:
        assert taken["TemplateParamSet"] == ["李敏", "12月31日", "财政局", "李敏"]
        report = {"nationcode": "86", "mobile": "13812345000", "report_status": "SUCCESS"}
        report["sid"] = message.provider_id
    answer = client.post(f"/callbacks/sms/{provider}/{SECRET}/reports", json=[report])
    assert answer.status_code == 200
    db.session.refresh(message)
    assert message.status is S.DELIVERED


# The gate


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"provider_template": ""}, "短信模板没有平台模板编号，短信平台不会发出"),
        (
            {"variables": [["单位名称", "名" * 36]]},
            "“单位名称”有 36 字，短信平台最多接受 35 字",
        ),
        (
            {"variables": [["单位名称", "看 www.example.cn"]]},
            "“单位名称”中有网址或电话号码，短信平台不接受",
        ),
        (
            {"variables": [["联系人", "李敏13812345678"]]},
            "“联系人”中有网址或电话号码，短信平台不接受",
        ),
        (
            {"variables": [["活动名称", "慈善捐款月"]]},
            "“活动名称”中有“捐款”，短信平台不许用短信募捐",
        ),
        (
            {"variables": [["单位名称", "募\u00ad捐 办公室"]]},
            "“单位名称”中有“募捐”，短信平台不许用短信募捐",
        ),
        (
            {"variables": [["单位名称", "看ｗｗｗ．ａ．ｃｎ"]]},
            "“单位名称”中有网址或电话号码，短信平台不接受",
        ),
        (
            {"variables": [["联系人", "李敏１３８\u00ad１２３４５６７８"]]},
            "“联系人”中有网址或电话号码，短信平台不接受",
        ),
    ],
)
def test_what_the_provider_would_refuse_is_not_sent(app: Flask, values: dict, said: str):
    open_sending()
    with local_provider(app, "aliyun") as server:
        message = make_text_of_wave(**values)
        delivery.drain()
    db.session.refresh(message)
    assert message.withheld_reason is WithheldReason.PROVIDER_RULE
    assert queries.explain(message) == said
    assert server.calls == []


def test_names_of_the_federation_and_its_campaign_are_no_appeals(app: Flask):
    open_sending()
    names = [["活动名称", "2026年慈善一日捐"], ["总会名称", "衡阳市慈善总会"]]
    with local_provider(app, "aliyun") as server:
        make_text_of_wave(variables=names)
        delivery.drain()
    assert len(server.messages) == 1


def test_a_provider_without_a_length_of_its_own_takes_any(app: Flask):
    open_sending()
    with local_provider(app, "tencent") as server:
        make_text_of_wave(variables=[["单位名称", "名" * 36]])
        delivery.drain()
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("minutes_ago", "said"),
    [
        ([0.5], "一分钟内已向这个号码发过短信"),
        ([5, 10, 20, 30, 59], "一小时内已向这个号码发过 5 条短信"),
        ([90, 120, 180, 240, 300, 360, 420, 480, 540, 600], "一天内已向这个号码发过 10 条短信"),
        ([1.1], ""),
        ([5, 10, 20, 30, 61], ""),
        ([90, 120, 180, 240, 300, 360, 420, 480, 540, 25 * 60], ""),
    ],
)
def test_one_number_gets_so_many_messages_and_no_more(app: Flask, minutes_ago, said: str):
    open_sending()
    fake_channel.install(app, lambda _message: accepted())
    for minutes in minutes_ago:
        earlier = make_message(channel=Channel.SMS, address="13812345678", body_text="通知")
        earlier.status = S.SENT
        earlier.sent_at = clock.now() - timedelta(minutes=minutes)
        db.session.commit()
    message = make_message(channel=Channel.SMS, address="13812345678", body_text="通知")
    delivery.drain()
    db.session.refresh(message)
    assert queries.explain(message) == said
    assert message.status is (S.WITHHELD if said else S.SENT)


def test_two_messages_to_one_number_at_once_are_one_too_many(app: Flask):
    open_sending()
    fake_channel.install(app, lambda _message: accepted())
    messages = [
        make_message(channel=Channel.SMS, address="13812345678", body_text="通知") for _ in range(2)
    ]
    delivery.drain()
    for message in messages:
        db.session.refresh(message)
    assert [message.status for message in messages] == [S.SENT, S.WITHHELD]


def test_e_mail_has_no_such_limit(app: Flask):
    open_sending()
    channel = fake_channel.install(app)
    for _ in range(3):
        make_message(address="li@unit.example")
    delivery.drain()
    assert len(channel.taken) == 3


def test_the_gate_asks_the_database_once_for_a_batch(app: Flask):
    use_provider(app, "aliyun")
    messages = [make_text_of_wave() for _ in range(3)]
    candidates = [
        gate.Candidate(
            message.id,
            message.purpose,
            message.channel,
            message.address_hash,
            wave_id=message.wave_id,
        )
        for message in messages
    ]
    with noting_statements() as statements:
        assert provider_rules.check_provider_rules(candidates, clock.now()) == {}
    assert len([line for line in statements if re.match("SELECT", line)]) == 1


# Numbers of other countries


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("+852 6123 4567", "+85261234567"),
        ("+1 201 555 0123", "+12015550123"),
        ("+852 2123 4567", ""),
        ("138 1234 5678", "+8613812345678"),
    ],
)
def test_numbers_of_other_countries_only_where_the_settings_say_so(
    app: Flask, typed: str, stored: str
):
    is_ours = stored.startswith("+86")
    assert normalise_address(Channel.SMS, typed) == (stored if is_ours else "")
    app.extensions["outreach.settings"].sms_foreign_numbers = True
    assert normalise_address(Channel.SMS, typed) == stored


def test_text_messages_are_counted_with_the_signature_that_they_get(app: Flask):
    open_sending()
    app.extensions["outreach.settings"].sms_signature = "衡阳市慈善总会"
    fake_channel.install(app)
    make_message(channel=Channel.SMS, address="13812345678", body_text="字" * 62)
    delivery.drain()
    assert rates.sms_used(clock.now()) == 2
