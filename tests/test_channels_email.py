import smtplib
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach.messages.channels import EnclosedFile, Outcome, Outgoing, Verdict, email, mime
from tests.servers import HANG, patience
from tests.smtp_server import DROP, Received, RecordingServer

V = Verdict
# To read the certificates of the system takes longer than most tests here.
SYSTEM_TLS = ssl.create_default_context()


def make_outgoing(**values) -> Outgoing:
    return Outgoing(
        **{
            "id": 7,
            "resend_no": 0,
            "address": "li@unit.example",
            "recipient_name": "李联络",
            "subject": "关于慈善一日捐的工作联系",
            "body_text": "李联络，您好。",
            "body_html": "",
            "calendar": "",
            "reply_to": "",
            "at": datetime(2026, 10, 20, 2, 0, tzinfo=UTC),
        }
        | values
    )


def make_mail(
    port: int,
    *,
    command: float = 0.4,
    final: float = 0.4,
    tls: ssl.SSLContext = SYSTEM_TLS,
    **values,
):
    mail = email.Mail(email.Timeouts(command=command, final=final), tls)
    mail.state = SimpleNamespace(
        **{
            "server": "localhost",
            "port": port,
            "use_tls": False,
            "use_ssl": False,
            "username": None,
            "password": None,
            "default_sender": ("慈善总会", "office@charity.example"),
        }
        | values
    )
    return mail


def deliver(server: RecordingServer, *messages: Outgoing, **values) -> list[Outcome]:
    with make_mail(server.port, **values).open() as sender:
        return list(sender.deliver(messages or [make_outgoing()]))


OUTCOMES = [
    ({"CONNECT": DROP}, V.RETRY, 0),
    ({"CONNECT": HANG}, V.RETRY, 0),
    ({"CONNECT": "what?"}, V.RETRY, 0),
    ({"CONNECT": "421 busy"}, V.RETRY, 0),
    ({"CONNECT": "554 go away"}, V.RETRY, 0),
    ({"EHLO": DROP}, V.RETRY, 0),
    ({"EHLO": HANG}, V.RETRY, 0),
    ({"EHLO": "what?"}, V.RETRY, 0),
    ({"EHLO": "421 closing"}, V.RETRY, 0),
    ({"EHLO": "451 later"}, V.RETRY, 0),
    ({"EHLO": "501 not you"}, V.RETRY, 0),
    ({"AUTH": DROP}, V.RETRY, 0),
    ({"AUTH": HANG}, V.RETRY, 0),
    ({"AUTH": "what?"}, V.RETRY, 0),
    ({"AUTH": "421 closing"}, V.RETRY, 0),
    ({"AUTH": "454 later"}, V.RETRY, 0),
    ({"AUTH": "535 wrong password"}, V.MISCONFIGURED, 0),
    ({"MAIL": DROP}, V.RETRY, 0),
    ({"MAIL": HANG}, V.RETRY, 0),
    ({"MAIL": "what?"}, V.RETRY, 0),
    ({"MAIL": "421 closing"}, V.RETRY, 0),
    ({"MAIL": "451 later"}, V.RETRY, 0),
    ({"MAIL": "550 not your domain"}, V.MISCONFIGURED, 0),
    ({"MAIL": "550 not your domain", "RCPT": DROP}, V.MISCONFIGURED, 0),
    ({"RCPT": DROP}, V.RETRY, 0),
    ({"RCPT": HANG}, V.RETRY, 0),
    ({"RCPT": "what?"}, V.RETRY, 0),
    ({"RCPT": "421 closing"}, V.RETRY, 0),
    ({"RCPT": "450 mailbox busy"}, V.RETRY, 0),
    ({"RCPT": "550 no such user"}, V.REJECTED, 0),
    ({"RCPT": "550 no such user", "RSET": DROP}, V.REJECTED, 0),
    ({"RCPT": "550 no such user", "RSET": HANG}, V.REJECTED, 0),
    ({"RCPT": "550 no such user", "DATA": "554 no recipient"}, V.REJECTED, 0),
    ({"RCPT": "550 no such user", "DATA": DROP}, V.REJECTED, 0),
    ({"DATA": DROP}, V.RETRY, 0),
    ({"DATA": HANG}, V.RETRY, 0),
    ({"DATA": "what?"}, V.RETRY, 0),
    ({"DATA": "250 done"}, V.RETRY, 0),
    ({"DATA": "421 closing"}, V.RETRY, 0),
    ({"DATA": "451 later"}, V.RETRY, 0),
    ({"DATA": "554 no"}, V.RETRY, 0),
    ({"BODY": DROP}, V.RETRY, 0),
    ({"BODY": HANG}, V.RETRY, 0),
    ({"BODY": "421 closing"}, V.RETRY, 0),
    ({"BODY": "552 too big"}, V.RETRY, 0),
    ({"DOT": "421 closing"}, V.RETRY, 0),
    ({"DOT": "451 later"}, V.RETRY, 0),
    ({"DOT": "554 spam"}, V.REJECTED, 0),
    ({"DOT": DROP}, V.UNKNOWN, 1),
    ({"DOT": HANG}, V.UNKNOWN, 1),
    ({"DOT": "what?"}, V.UNKNOWN, 0),
    ({"DOT": "354 go on"}, V.UNKNOWN, 0),
    ({"DOT": "2" * 9000}, V.UNKNOWN, 1),
    ({}, V.ACCEPTED, 1),
    ({"QUIT": DROP}, V.ACCEPTED, 1),
    ({"QUIT": HANG}, V.ACCEPTED, 1),
]
"""What the server says or does, what becomes of the message, and whether the server kept it."""

STARTTLS_OUTCOMES = [
    ({"STARTTLS": DROP}, V.RETRY, 0),
    ({"STARTTLS": HANG}, V.RETRY, 0),
    ({"STARTTLS": "what?"}, V.RETRY, 0),
    ({"STARTTLS": "421 closing"}, V.RETRY, 0),
    ({"STARTTLS": "454 later"}, V.RETRY, 0),
    ({"STARTTLS": "501 no"}, V.RETRY, 0),
]
LINES = ("plain", "PIPELINING", "STARTTLS", "PIPELINING, STARTTLS")


@pytest.mark.parametrize(
    "script", [{"DOT": "250 ok\x00 as\x1b 7"}, {"RCPT": "550 no\x00 as\x1b 7"}]
)
def test_what_a_server_says_can_be_written_down(script: dict):
    """PostgreSQL takes no NUL: the outcomes of a whole window would be lost with it."""
    with RecordingServer(script) as server, make_mail(server.port).open() as sender:
        outcome = next(sender.deliver([make_outgoing()]))
    said = outcome.provider_id + outcome.answer
    assert said.endswith("as 7")
    assert said.isprintable()


def serve_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


@pytest.mark.parametrize(
    ("line", "script", "verdict", "arrived"),
    [(line, *outcome) for line in LINES for outcome in OUTCOMES]
    + [(line, *outcome) for line in LINES[2:] for outcome in STARTTLS_OUTCOMES],
    ids=lambda value: str(value)[:60],
)
def test_what_the_server_does_decides_the_outcome(
    line: str, script, verdict: Verdict, arrived: int, certificate: Path, monkeypatch
):
    """And the next message meets a line on which nothing of it is left."""
    limit = patience(*script.values())
    monkeypatch.setattr(email, "CONNECT_TIMEOUT", limit)
    options = {"username": "u", "password": "p", "command": limit, "final": limit}
    is_tls = "STARTTLS" in line
    if is_tls:
        options |= {"use_tls": True, "tls": trust(certificate)}
    # A body larger than the buffers of a socket: a drop in the middle of it is noticed.
    message = make_outgoing(body_text="您好。\n" * (300_000 if "BODY" in script else 1))
    with RecordingServer(
        script, capabilities=f"AUTH PLAIN, {line}", tls=serve_tls(certificate) if is_tls else None
    ) as server:
        with make_mail(server.port, **options).open() as sender:
            assert [outcome.verdict for outcome in sender.deliver([message])] == [verdict]
            assert len(server.messages) == arrived
            server.script = {key: script[key] for key in script if key == "QUIT"}
            (outcome,) = sender.deliver([make_outgoing(id=8)])
        assert outcome.verdict is V.ACCEPTED
    ids = [received.message["Message-ID"] for received in server.messages]
    assert ids == ["<outreach-7.0@charity.example>"] * arrived + ["<outreach-8.0@charity.example>"]


def test_nobody_listening_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with make_mail(port).open() as sender:
        assert [o.verdict for o in sender.deliver([make_outgoing()])] == [V.RETRY]


def test_a_refused_sign_in_is_a_matter_of_configuration_and_is_tried_once():
    with RecordingServer({"AUTH": "535 wrong password"}) as server:
        outcomes = deliver(
            server, make_outgoing(id=1), make_outgoing(id=2), username="u", password="p"
        )
    assert [outcome.verdict for outcome in outcomes] == [V.MISCONFIGURED] * 2
    assert server.connections == 1


def test_a_password_that_cannot_be_sent_is_a_matter_of_configuration():
    with RecordingServer() as server:
        outcomes = deliver(server, username="u", password="密码")
    assert [outcome.verdict for outcome in outcomes] == [V.MISCONFIGURED]


def test_a_sign_in_that_is_put_off_is_tried_again():
    with RecordingServer({"AUTH": "454 later"}) as server:
        outcomes = deliver(server, username="u", password="p")
    assert [outcome.verdict for outcome in outcomes] == [V.RETRY]


def test_a_server_without_starttls_gets_nothing_when_the_settings_ask_for_it():
    with RecordingServer() as server:
        outcomes = deliver(server, use_tls=True)
    assert [outcome.verdict for outcome in outcomes] == [V.MISCONFIGURED]
    assert not server.messages


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path):
    with RecordingServer(tls=serve_tls(certificate), capabilities="STARTTLS") as server:
        outcomes = deliver(server, use_tls=True)
    assert [outcome.verdict for outcome in outcomes] == [V.MISCONFIGURED]
    assert not server.messages


def test_a_certificate_that_is_trusted_is_taken(certificate: Path):
    with RecordingServer(tls=serve_tls(certificate), capabilities="STARTTLS") as server:
        outcomes = deliver(server, use_tls=True, tls=trust(certificate))
    assert [outcome.verdict for outcome in outcomes] == [V.ACCEPTED]


def test_one_connection_serves_all_messages():
    with RecordingServer() as server:
        deliver(server, *(make_outgoing(id=number) for number in range(30)))
    assert (server.connections, len(server.messages)) == (1, 30)


@pytest.mark.parametrize(("capabilities", "writes"), [("8BITMIME", 3), ("PIPELINING", 1)])
def test_the_envelope_goes_out_in_one_write_where_the_server_offers_it(
    capabilities: str, writes: int, monkeypatch: pytest.MonkeyPatch
):
    written: list[str] = []
    send = smtplib.SMTP.send

    def record(smtp: smtplib.SMTP, data: str | bytes) -> None:
        written.append(data if isinstance(data, str) else data.decode("ascii"))
        send(smtp, data)

    monkeypatch.setattr(smtplib.SMTP, "send", record)
    with RecordingServer(capabilities=capabilities) as server:
        deliver(server, *(make_outgoing(id=number) for number in range(30)))
    verbs = ("MAIL FROM", "RCPT TO", "DATA")
    assert sum(text.upper().startswith(verbs) for text in written) == writes * 30
    assert (server.connections, len(server.messages)) == (1, 30)


def test_a_server_that_asks_for_content_in_spite_of_a_refusal_gets_none():
    with RecordingServer({"RCPT": "550 no"}, times=1, capabilities="PIPELINING") as server:
        outcomes = deliver(server, make_outgoing(id=1), make_outgoing(id=2))
    assert [outcome.verdict for outcome in outcomes] == [V.REJECTED, V.ACCEPTED]
    assert [received.message["Message-ID"] for received in server.messages] == [
        "<outreach-2.0@charity.example>"
    ]
    assert server.connections == 2


def test_a_refused_envelope_leaves_the_line_open_when_the_server_refuses_the_rest_too():
    script = {"RCPT": "550 no such user", "DATA": "554 no valid recipients"}
    with RecordingServer(script, times=1, capabilities="PIPELINING") as server:
        outcomes = deliver(server, make_outgoing(id=1), make_outgoing(id=2))
    assert [outcome.verdict for outcome in outcomes] == [V.REJECTED, V.ACCEPTED]
    assert server.connections == 1


def test_a_line_that_the_server_closed_is_opened_again():
    with RecordingServer({"DOT": DROP}, times=1) as server:
        outcomes = deliver(server, make_outgoing(id=1), make_outgoing(id=2))
    assert [outcome.verdict for outcome in outcomes] == [V.UNKNOWN, V.ACCEPTED]
    assert server.connections == 2


def test_an_idle_line_that_was_closed_costs_no_attempt():
    with RecordingServer() as server, make_mail(server.port).open() as sender:
        assert [o.verdict for o in sender.deliver([make_outgoing(id=1)])] == [V.ACCEPTED]
        server.script = {"MAIL": "421 idle too long"}
        server.times = 2
        assert [o.verdict for o in sender.deliver([make_outgoing(id=2)])] == [V.ACCEPTED]
    assert server.connections == 2


def test_a_message_is_not_touched_before_its_outcome_is_asked_for():
    with RecordingServer() as server, make_mail(server.port).open() as sender:
        outcomes = sender.deliver([make_outgoing(id=1), make_outgoing(id=2)])
        next(outcomes)
    assert len(server.messages) == 1


def test_an_answer_does_not_repeat_the_address():
    with RecordingServer({"RCPT": "550 <li@unit.example> unknown"}) as server:
        (outcome,) = deliver(server)
    assert outcome.answer == "RCPT: 550 <…> unknown"


# The message


def parse(message: Outgoing):
    with RecordingServer() as server:
        deliver(server, message)
    return server.messages[0].message


def test_a_file_arrives_beside_the_letter_under_its_name():
    file = EnclosedFile("教育系统募捐协调会纪要.docx", "application/zip", bytes(range(256)) * 9)
    message = parse(make_outgoing(body_html="<p>您好</p>", enclosed=file))
    assert message.get_content_type() == "multipart/mixed"
    assert message.get_body(("plain",)).get_content().strip() == "李联络，您好。"
    [attached] = message.iter_attachments()
    assert attached.get_filename() == file.name
    assert (attached.get_content_type(), attached.get_content()) == (file.media_type, file.content)


def test_text_html_and_calendar_arrive_as_alternatives():
    calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    message = parse(
        make_outgoing(
            body_text="第一行\n.第二行以点开头\n",
            body_html="<p>" + "长" * 5000 + "</p>",
            calendar=calendar,
            reply_to="zhang@charity.example",
        )
    )
    parts = list(message.iter_parts())
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parts] == [
        "text/plain",
        "text/html",
        "text/calendar",
    ]
    assert parts[2]["Content-Type"].params["method"] == "REQUEST"
    assert parts[0].get_content() == "第一行\r\n.第二行以点开头\r\n"
    assert "长" * 5000 in parts[1].get_content()
    assert parts[2].get_content().splitlines() == calendar.splitlines()
    assert str(message["From"]) == "慈善总会 <office@charity.example>"
    assert str(message["Reply-To"]) == "zhang@charity.example"
    assert message["Message-ID"] == "<outreach-7.0@charity.example>"


def test_the_message_id_stays_on_a_retry_and_changes_when_a_person_sends_again():
    ids = {
        mime.message_id(make_outgoing(resend_no=number), "charity.example") for number in (0, 0, 1)
    }
    assert ids == {"<outreach-7.0@charity.example>", "<outreach-7.1@charity.example>"}


@pytest.mark.parametrize(
    "values",
    [
        {"subject": "通知\r\nBcc: all@unit.example"},
        {"subject": "=?utf-8?q?a=0ABcc=3A_x?="},
        {"recipient_name": "李\n联络"},
        {"reply_to": "a@b.example\nBcc: c@d.example"},
        {"subject": "通知\x00"},
    ],
)
def test_text_that_would_become_another_header_is_refused(values):
    with RecordingServer() as server:
        (outcome,) = deliver(server, make_outgoing(**values))
    assert outcome.verdict is V.REJECTED
    assert server.commands == []


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=120)


@given(subject=PRINTABLE, name=PRINTABLE, text=st.text(max_size=400))
def test_whatever_is_written_is_read_back_as_it_was(subject: str, name: str, text: str):
    outgoing = make_outgoing(subject=subject, recipient_name=name, body_text=text)
    try:
        data = mime.build(outgoing, sender_name="慈善总会", sender="office@charity.example")
    except mime.UnsafeHeader:
        assert "=?" in subject + name
        return
    parsed = Received("", "", data).message
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert set(parsed.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    }
    assert " ".join(str(parsed["Subject"]).split()) == " ".join(subject.split())
    assert parsed["To"].addresses[0].addr_spec == "li@unit.example"


def test_the_local_outbox_shows_a_repeat(tmp_path: Path):
    box = email.LocalOutbox(tmp_path / "outbox", "慈善总会", "office@charity.example")
    with box.open() as sender:
        outcomes = list(sender.deliver([make_outgoing(), make_outgoing(), make_outgoing(id=8)]))
    assert [outcome.verdict for outcome in outcomes] == [V.ACCEPTED] * 3
    assert sorted(path.name for path in box.directory.iterdir()) == [
        "7.0-repeat-2.eml",
        "7.0.eml",
        "8.0.eml",
    ]
