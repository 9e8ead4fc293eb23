import json
from pathlib import Path

import pytest

from outreach.messages.addresses import hash_address, normalise_address
from outreach.messages.channels import Verdict, sms
from outreach.messages.models import Channel
from tests.test_channels_email import make_outgoing


def deliver(path: Path, **values):
    with sms.SmsSimulator(path / "sms.jsonl", "慈善总会").open() as sender:
        (outcome,) = sender.deliver([make_outgoing(**{"address": "+8613812345678"} | values)])
    taken = path / "sms.jsonl"
    lines = taken.read_text(encoding="utf-8").splitlines() if taken.exists() else []
    return outcome, [json.loads(line) for line in lines]


def test_a_text_message_is_signed(tmp_path: Path):
    outcome, lines = deliver(tmp_path, body_text="请于10月30日前报送登记表。")
    assert outcome.verdict is Verdict.ACCEPTED
    assert lines == [
        {
            "out_id": "7.0",
            "to": "+8613812345678",
            "text": "【慈善总会】请于10月30日前报送登记表。",
            "segments": 1,
        }
    ]


def test_our_own_signature_is_not_put_twice(tmp_path: Path):
    _outcome, lines = deliver(tmp_path, body_text="【慈善总会】通知")
    assert lines[0]["text"] == "【慈善总会】通知"


def test_a_foreign_signature_is_refused(tmp_path: Path):
    outcome, lines = deliver(tmp_path, body_text="【某某银行】通知")
    assert (outcome.verdict, lines) == (Verdict.REJECTED, [])


@pytest.mark.parametrize(("length", "segments"), [(64, 1), (65, 2), (128, 2), (129, 3)])
def test_long_messages_are_counted_in_segments(tmp_path: Path, length: int, segments: int):
    _outcome, lines = deliver(tmp_path, body_text="字" * length)
    assert lines[0]["segments"] == segments


@pytest.mark.parametrize(
    ("number", "verdict", "arrived"),
    [
        (sms.REJECTED_NUMBER, Verdict.REJECTED, 0),
        (sms.UNKNOWN_NUMBER, Verdict.UNKNOWN, 1),
        (sms.BUSY_NUMBER, Verdict.RETRY, 0),
    ],
)
def test_three_numbers_make_the_provider_misbehave(
    tmp_path: Path, number: str, verdict: Verdict, arrived: int
):
    outcome, lines = deliver(tmp_path, address=number)
    assert outcome.verdict is verdict
    assert len(lines) == arrived


@pytest.mark.parametrize(
    ("channel", "typed", "stored"),
    [
        (Channel.SMS, "138 1234 5678", "+8613812345678"),
        (Channel.SMS, "+86-138-1234-5678", "+8613812345678"),
        (Channel.SMS, "0734-8866123", ""),
        (Channel.SMS, "+85261234567", ""),
        (Channel.SMS, "1381234567", ""),
        (Channel.SMS, "电话", ""),
        (Channel.EMAIL, " Li@Unit.Example ", "li@unit.example"),
        (Channel.EMAIL, "li@unit", ""),
        (Channel.EMAIL, "li@unit.example\nbcc:x@y.example", ""),
        (Channel.EMAIL, "李@unit.example", ""),
        (Channel.EMAIL, "", ""),
    ],
)
def test_addresses_are_stored_in_one_form_or_not_at_all(channel, typed: str, stored: str):
    assert normalise_address(channel, typed) == stored
    assert bool(hash_address(channel, typed)) == bool(stored)
