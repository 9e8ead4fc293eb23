"""Settings: embedded mode runs from defaults, production refuses what is not safe."""

from pathlib import Path

import pytest
from flask import Flask, request

import config
from app import create_app
from config import ConfigurationError

SAFE = {
    "mode": "production",
    "secret_key": "ZcV9-4mQ1x_Lr7uB0kTn5HdW8sYe3GpA",
    "public_base_url": "https://juan.example.gov.cn",
    "database_url": "postgresql://outreach@db/outreach",
    "redis_url": "redis://redis/0",
    "mail_server": "smtp.example.gov.cn",
    "mail_sender": "cishan@example.gov.cn",
}


@pytest.fixture
def production(tmp_path: Path) -> Flask:
    """An application set up for production; nothing in it talks to a server before it is asked."""
    return create_app(config.load(data_dir=tmp_path, **SAFE))


def test_embedded_mode_needs_no_setting():
    settings = config.load()
    assert settings.is_embedded
    assert settings.database_url.startswith("sqlite:///")
    assert settings.sms_provider == "simulator"
    assert settings.flask_config()["TRUSTED_HOSTS"] == ["127.0.0.1", "localhost"]


def test_a_safe_production_configuration_is_taken():
    settings = config.load(**SAFE)
    assert settings.flask_config()["TRUSTED_HOSTS"] == ["juan.example.gov.cn"]
    assert settings.sms_provider == ""


@pytest.mark.parametrize(
    ("unsafe", "variable"),
    [
        ({"secret_key": config.EMBEDDED_SECRET_KEY}, "OUTREACH_SECRET_KEY"),
        ({"secret_key": "short"}, "OUTREACH_SECRET_KEY"),
        ({"secret_key": "abab" * 10}, "OUTREACH_SECRET_KEY"),
        ({"debug": True}, "OUTREACH_DEBUG"),
        ({"public_base_url": "http://juan.example.gov.cn"}, "OUTREACH_PUBLIC_BASE_URL"),
        ({"database_url": "sqlite:///x.db"}, "DATABASE_URL"),
        ({"database_url": ""}, "DATABASE_URL"),
        ({"redis_url": ""}, "REDIS_URL"),
        ({"mail_server": ""}, "OUTREACH_MAIL_SERVER"),
        ({"mail_sender": "outreach@example.org"}, "OUTREACH_MAIL_SENDER"),
        ({"mail_username": "cishan"}, "OUTREACH_MAIL_USE_TLS"),
    ],
)
def test_production_refuses_what_is_not_safe(unsafe: dict, variable: str):
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        config.load(**SAFE | unsafe)


def test_an_operator_reads_all_problems_at_once():
    with pytest.raises(ConfigurationError) as refusal:
        config.load(mode="production")
    named = [
        "OUTREACH_SECRET_KEY",
        "OUTREACH_PUBLIC_BASE_URL",
        "DATABASE_URL",
        "REDIS_URL",
        "OUTREACH_MAIL_SERVER",
        "OUTREACH_MAIL_SENDER",
    ]
    assert [name for name in named if f"{name}:" not in str(refusal.value)] == []


def test_a_value_that_cannot_be_read_is_named_as_the_operator_wrote_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("OUTREACH_PORT", "many")
    monkeypatch.setenv("OUTREACH_LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError) as refusal:
        config.load()
    assert "OUTREACH_PORT:" in str(refusal.value)
    assert "OUTREACH_LOG_LEVEL:" in str(refusal.value)


def test_the_embedded_key_is_for_this_machine_only():
    with pytest.raises(ConfigurationError, match="OUTREACH_HOST"):
        config.load(host="0.0.0.0")
    assert config.load(host="0.0.0.0", secret_key=SAFE["secret_key"]).host == "0.0.0.0"


HERE = {"night_sending": True, "wecom_endpoint": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "abroad",
    [
        {"mail_server": "mail.example.gov.cn"},
        {"wecom_endpoint": ""},
        {"sms_provider": "aliyun", "sms_key_id": "a", "sms_key_secret": "b"},
    ],
)
def test_nights_are_quiet_unless_all_servers_are_on_this_machine(abroad: dict):
    assert config.load(**HERE).night_sending
    assert config.load(**HERE, mail_server="127.0.0.1").night_sending
    with pytest.raises(ConfigurationError, match="OUTREACH_NIGHT_SENDING"):
        config.load(**HERE | abroad)


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "key").write_text(SAFE["secret_key"] + "\n")
    (tmp_path / "database").write_text(SAFE["database_url"])
    monkeypatch.setenv("OUTREACH_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "database"))
    settings = config.load()
    assert settings.secret_key == SAFE["secret_key"]
    assert settings.database_url == SAFE["database_url"]


def test_a_secret_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OUTREACH_SECRET_KEY_FILE", "/run/secrets/nothing")
    with pytest.raises(ConfigurationError, match="/run/secrets/nothing: No such file"):
        config.load()


def test_only_config_reads_the_environment():
    root = Path(config.__file__).parent
    readers = [
        path.name
        for path in (*root.glob("*.py"), *root.glob("outreach/**/*.py"), *root.glob("tasks/*.py"))
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    assert readers == []


def test_cookies_in_production_stay_with_this_host_and_https(production: Flask):
    answer = production.test_client().get("/login", base_url="https://juan.example.gov.cn")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert "Domain=" not in cookie
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_production_answers_to_its_own_name_only(production: Flask):
    client = production.test_client()
    assert client.get("/healthz", base_url="https://juan.example.gov.cn").status_code == 200
    assert client.get("/healthz", base_url="https://127.0.0.1").status_code == 400
    assert client.get("/healthz", base_url="https://evil.example").status_code == 400


def test_links_in_messages_lead_to_the_public_address(production: Flask):
    from outreach.web import external_url

    with production.test_request_context(base_url="https://evil.example"):
        link = external_url("accounts.accept_invitation", token="abc")
    assert link == "https://juan.example.gov.cn/invitation/abc"
    with production.app_context():
        assert external_url("accounts.accept_invitation", token="abc") == link


@pytest.mark.parametrize(("proxies", "seen"), [(0, "10.0.0.1"), (1, "198.51.100.7")])
def test_the_address_of_a_person_is_read_behind_as_many_proxies_as_are_set(
    tmp_path: Path, proxies: int, seen: str
):
    app = create_app(config.load(data_dir=tmp_path, proxies=proxies))
    app.view_functions["web.healthz"] = lambda: request.remote_addr
    answer = app.test_client().get(
        "/healthz",
        headers={"X-Forwarded-For": "203.0.113.66, 198.51.100.7"},
        environ_base={"REMOTE_ADDR": "10.0.0.1"},
    )
    assert answer.text == seen


ALIYUN = {"sms_provider": "aliyun", "sms_key_id": "id", "sms_key_secret": "secret"}
TENCENT = ALIYUN | {"sms_provider": "tencent", "sms_app_id": "1400006666"}


@pytest.mark.parametrize("provider", [ALIYUN, TENCENT])
def test_a_provider_of_text_messages_with_its_credentials_is_taken(provider: dict):
    assert config.load(**SAFE, **provider).sms_provider == provider["sms_provider"]


@pytest.mark.parametrize(
    ("unfinished", "variable"),
    [
        (ALIYUN | {"sms_key_id": ""}, "OUTREACH_SMS_KEY_ID"),
        (ALIYUN | {"sms_key_secret": ""}, "OUTREACH_SMS_KEY_SECRET"),
        (TENCENT | {"sms_app_id": ""}, "OUTREACH_SMS_APP_ID"),
        (ALIYUN | {"sms_timeout": 595}, "OUTREACH_SMS_TIMEOUT"),
        (ALIYUN | {"sms_callback_secret": "short"}, "OUTREACH_SMS_CALLBACK_SECRET"),
        (ALIYUN | {"sms_endpoint": "http://sms.example.cn"}, "OUTREACH_SMS_ENDPOINT"),
    ],
)
def test_a_provider_of_text_messages_that_could_not_send_is_refused(
    unfinished: dict, variable: str
):
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        config.load(**SAFE, **unfinished)


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"mail_bounce_address": "bounce"}, "OUTREACH_MAIL_BOUNCE_ADDRESS"),
        ({"mail_bounce_address": "bounce+x@charity.example"}, "OUTREACH_MAIL_BOUNCE_ADDRESS"),
        ({"mail_bounce_address": f"{'b' * 31}@charity.example"}, "OUTREACH_MAIL_BOUNCE_ADDRESS"),
        ({"bounce_server": "imap.charity.example"}, "OUTREACH_BOUNCE_USERNAME"),
        (
            {
                "bounce_server": "imap.charity.example",
                "bounce_username": "bounce",
                "bounce_password": "a secret",
                "bounce_use_tls": False,
            },
            "OUTREACH_BOUNCE_USE_TLS",
        ),
    ],
)
def test_a_bounce_mailbox_is_named_whole_and_safely(values: dict, variable: str):
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        config.load(**values)
