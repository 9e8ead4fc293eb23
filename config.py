"""Settings. This is the only module that reads the environment.

Every setting has a default that works in embedded mode. `load()` collects all problems and
raises them together, so that an operator mends a configuration once and not line by line.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ROOT = Path(__file__).resolve().parent
EMBEDDED_SECRET_KEY = "embedded-mode-only-never-in-production"  # noqa: S105
SHORTEST_SECRET_KEY = 32
SHORTEST_CALLBACK_SECRET = 24
SMS_CONNECT_TIMEOUT = 5
"""Seconds; what `outreach.messages.channels.exchange` waits for a connection."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigurationError(Exception):
    """The environment does not describe a configuration that is safe to run."""


class Settings(BaseSettings):
    """What the environment may set; names carry the prefix OUTREACH_ unless noted."""

    model_config = SettingsConfigDict(env_prefix="OUTREACH_", populate_by_name=True)

    mode: Literal["embedded", "production"] = Field(
        "embedded", description="embedded: one process, SQLite; production: PostgreSQL and Redis"
    )
    data_dir: Path = Field(
        ROOT / "var",
        description="where the SQLite file, the local outbox, photos and uploads are kept",
    )
    database_url: str = Field(
        "",
        validation_alias="DATABASE_URL",
        description="empty: a SQLite file in the data directory",
    )
    redis_url: str = Field(
        "", validation_alias="REDIS_URL", description="the Celery broker; needed in production"
    )
    secret_key: str = Field(
        EMBEDDED_SECRET_KEY, description="signs cookies and links; at least 32 characters"
    )
    public_base_url: str = Field(
        "", description="how people reach the site, used in links; empty: on this machine"
    )
    trusted_hosts: str = Field(
        "", description="host names answered to, separated by commas; empty: that of the public URL"
    )
    host: str = Field("127.0.0.1", description="address that `make run` listens on")
    port: int = Field(8000, ge=1, le=65535, description="port that `make run` listens on")
    proxies: int = Field(
        0, ge=0, le=3, description="reverse proxies in front whose X-Forwarded-For is believed"
    )
    debug: bool = Field(False, description="refused in production")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="lowest level that is logged"
    )
    mail_server: str = Field(
        "", description="SMTP server; empty: mail goes to the local outbox (embedded mode only)"
    )
    mail_port: int = Field(25, ge=1, le=65535, description="port of the SMTP server")
    mail_use_tls: bool = Field(False, description="STARTTLS, with the certificate verified")
    mail_use_ssl: bool = Field(False, description="TLS from the first byte, certificate verified")
    mail_username: str = Field("", description="SMTP user name; empty: no sign-in")
    mail_password: str = Field("", description="SMTP password")
    mail_sender: str = Field(
        "outreach@example.org", description="address that messages are sent from"
    )
    mail_sender_name: str = Field("慈善总会", description="name that messages are sent from")
    mail_timeout: int = Field(
        30, ge=1, description="seconds to wait for an answer of the SMTP or IMAP server"
    )
    mail_final_timeout: int = Field(
        600, ge=1, description="seconds to wait after the final dot (RFC 5321, 4.5.3.2.6)"
    )
    mail_bounce_address: str = Field(
        "",
        description="envelope sender, as bounce+…@ with a signed number for each message;"
        " empty: the sender's own address",
    )
    bounce_server: str = Field(
        "", description="IMAP server of the mailbox that bounces come back to; empty: none is read"
    )
    bounce_port: int = Field(993, ge=1, le=65535, description="port of the IMAP server")
    bounce_use_tls: bool = Field(
        True,
        description="TLS from the first byte, certificate verified; off only for 127.0.0.1",
    )
    bounce_username: str = Field("", description="IMAP user name")
    bounce_password: str = Field("", description="IMAP password")
    bounce_folder: str = Field(
        "INBOX", description="folder that bounces are in; what was read is marked as seen"
    )
    delivery_lease_margin: int = Field(
        60,
        ge=1,
        description="seconds beyond the final timeout after which a worker's messages are"
        " taken from it",
    )
    sms_signature: str = Field(
        "慈善总会", description="the registered signature, put before text messages in 【】"
    )
    sms_provider: Literal["", "simulator", "aliyun", "tencent"] = Field(
        "",
        description="simulator, aliyun or tencent; empty: the simulator in embedded mode, no SMS"
        " in production",
    )
    sms_endpoint: str = Field(
        "", description="address of the SMS provider's service; empty: the provider's own"
    )
    sms_key_id: str = Field("", description="AccessKey ID (Aliyun) or SecretId (Tencent)")
    sms_key_secret: str = Field("", description="AccessKey secret or SecretKey")
    sms_app_id: str = Field("", description="SdkAppId of the SMS application (Tencent)")
    sms_region: str = Field("ap-guangzhou", description="region that is named in calls (Tencent)")
    sms_timeout: int = Field(
        20, ge=1, description="seconds to wait for an SMS provider's answer, once it is connected"
    )
    sms_callback_secret: str = Field(
        "",
        description="part of the address to which the SMS provider reports deliveries and replies,"
        " at least 24 characters; empty: it cannot report",
    )
    sms_foreign_numbers: bool = Field(
        False,
        description="also write to mobiles outside mainland China; their holders' data then leaves"
        " the country",
    )
    wecom_endpoint: str = Field(
        "", description="where posts to WeCom groups go; empty: WeCom's own https address"
    )
    night_sending: bool = Field(
        False,
        description="no quiet hours from 21:00 to 08:00; for tests, with all servers on 127.0.0.1",
    )
    worker_threads: int = Field(
        2, ge=1, le=32, description="deliveries that run side by side in embedded mode"
    )
    keep_contacts_years: int = Field(
        0,
        ge=0,
        description="years after which the personal data of contacts who left is erased; 0: never",
    )
    login_failures: int = Field(
        10, ge=1, description="failed sign-ins per account and address in 15 minutes"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, EnvironmentWithFiles(settings_cls)

    @cached_property
    def is_embedded(self) -> bool:
        return self.mode == "embedded"

    @property
    def keeps_messages_here(self) -> bool:
        """Whether mail and text messages stay on this machine, as in the demonstration."""
        return self.is_embedded and not self.mail_server and self.sms_provider == "simulator"

    @model_validator(mode="after")
    def _derive(self) -> Self:
        if not self.database_url:
            self.database_url = f"sqlite:///{self.data_dir / 'outreach.db'}"
        if not self.public_base_url:
            self.public_base_url = f"http://127.0.0.1:{self.port}"
        if not self.trusted_hosts:
            self.trusted_hosts = urlsplit(self.public_base_url).hostname or ""
            if self.mode == "embedded":
                self.trusted_hosts += ",localhost"
        if self.mode == "embedded" and not self.sms_provider:
            self.sms_provider = "simulator"
        return self

    @model_validator(mode="after")
    def _keep_embedded_mode_at_home(self) -> Self:
        is_reachable = self.host not in LOOPBACK
        if is_reachable and self.is_embedded and self.secret_key == EMBEDDED_SECRET_KEY:
            raise ValueError("OUTREACH_HOST: set OUTREACH_SECRET_KEY to listen beyond 127.0.0.1")
        return self

    @model_validator(mode="after")
    def _refuse_unfinished_sms(self) -> Self:
        if self.sms_provider not in {"aliyun", "tencent"}:
            return self
        needed = ["sms_key_id", "sms_key_secret"]
        needed += ["sms_app_id"] if self.sms_provider == "tencent" else []
        problems = [
            f"OUTREACH_{name.upper()}: needed to send by {self.sms_provider}"
            for name in needed
            if not getattr(self, name)
        ]
        if self.sms_timeout + SMS_CONNECT_TIMEOUT >= self.mail_final_timeout:
            problems.append(
                f"OUTREACH_SMS_TIMEOUT: must be {SMS_CONNECT_TIMEOUT} seconds and more below"
                " OUTREACH_MAIL_FINAL_TIMEOUT, after which a worker loses its messages"
            )
        if 0 < len(self.sms_callback_secret) < SHORTEST_CALLBACK_SECRET:
            problems.append("OUTREACH_SMS_CALLBACK_SECRET: set at least 24 random characters")
        is_plain = self.sms_endpoint and not self.sms_endpoint.startswith("https://")
        if is_plain and not self.is_embedded:
            problems.append("OUTREACH_SMS_ENDPOINT: production needs an https:// address")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _protect_robot_keys(self) -> Self:
        """They are part of the address: only a server on this machine gets them in clear."""
        endpoint = urlsplit(self.wecom_endpoint)
        is_at_home = endpoint.scheme == "http" and endpoint.hostname in LOOPBACK
        is_safe = endpoint.scheme == "https" and endpoint.hostname
        if self.wecom_endpoint and not (is_safe or is_at_home):
            raise ValueError("OUTREACH_WECOM_ENDPOINT: set an https:// address, or leave it empty")
        return self

    @model_validator(mode="after")
    def _protect_nights(self) -> Self:
        has_sms = self.sms_provider in {"aliyun", "tencent"}
        servers = {
            self.mail_server or "127.0.0.1",
            urlsplit(self.wecom_endpoint).hostname,
            urlsplit(self.sms_endpoint).hostname if has_sms else "127.0.0.1",
        }
        if self.night_sending and not servers <= LOOPBACK:
            raise ValueError(
                "OUTREACH_NIGHT_SENDING: only with OUTREACH_MAIL_SERVER, OUTREACH_WECOM_ENDPOINT"
                " and OUTREACH_SMS_ENDPOINT on 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _check_bounces(self) -> Self:
        address = self.mail_bounce_address
        if address and not re.fullmatch(r"[\w.-]{1,30}@[\w.-]+", address, re.ASCII):
            raise ValueError(
                "OUTREACH_MAIL_BOUNCE_ADDRESS: an address without «+», at most 30 characters"
                " before the @"
            )
        if not self.bounce_server:
            return self
        if not (self.bounce_username and self.bounce_password):
            raise ValueError("OUTREACH_BOUNCE_USERNAME: set this and OUTREACH_BOUNCE_PASSWORD")
        if not self.bounce_use_tls and self.bounce_server not in LOOPBACK:
            raise ValueError("OUTREACH_BOUNCE_USE_TLS: must be on for a server elsewhere")
        return self

    @model_validator(mode="after")
    def _refuse_unsafe_production(self) -> Self:
        if self.mode == "embedded":
            return self
        problems = [
            problem
            for is_wrong, problem in (
                (
                    self.secret_key == EMBEDDED_SECRET_KEY
                    or len(self.secret_key) < SHORTEST_SECRET_KEY
                    or len(set(self.secret_key)) < 8,
                    "OUTREACH_SECRET_KEY: set at least 32 random characters",
                ),
                (self.debug, "OUTREACH_DEBUG: must be off"),
                (
                    "public_base_url" not in self.model_fields_set
                    or not self.public_base_url.startswith("https://"),
                    "OUTREACH_PUBLIC_BASE_URL: set the https:// address of the site",
                ),
                (
                    not self.database_url.startswith("postgresql"),
                    "DATABASE_URL: production needs PostgreSQL",
                ),
                (not self.redis_url, "REDIS_URL: production needs Redis"),
                (not self.mail_server, "OUTREACH_MAIL_SERVER: production needs an SMTP server"),
                (
                    bool(self.mail_username) and not (self.mail_use_tls or self.mail_use_ssl),
                    "OUTREACH_MAIL_USE_TLS: a password is sent; turn on this or MAIL_USE_SSL",
                ),
                (
                    self.mail_sender.endswith("@example.org"),
                    "OUTREACH_MAIL_SENDER: set an address of yours",
                ),
            )
            if is_wrong
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def flask_config(self) -> dict[str, Any]:
        """The same settings under the names that Flask and its extensions read."""
        return {
            "SECRET_KEY": self.secret_key,
            "DEBUG": self.debug,
            "TRUSTED_HOSTS": [host.strip() for host in self.trusted_hosts.split(",")],
            "MAX_CONTENT_LENGTH": 16 * 1024 * 1024,
            "SESSION_COOKIE_NAME": "session" if self.is_embedded else "__Host-session",
            "SESSION_COOKIE_SECURE": not self.is_embedded,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SQLALCHEMY_DATABASE_URI": self.database_url,
            "MAIL_SERVER": self.mail_server,
            "MAIL_PORT": self.mail_port,
            "MAIL_USE_TLS": self.mail_use_tls,
            "MAIL_USE_SSL": self.mail_use_ssl,
            "MAIL_USERNAME": self.mail_username or None,
            "MAIL_PASSWORD": self.mail_password or None,
            "MAIL_DEFAULT_SENDER": (self.mail_sender_name, self.mail_sender),
            "BABEL_DEFAULT_LOCALE": "zh_Hans_CN",
            "BABEL_DEFAULT_TIMEZONE": "Asia/Shanghai",
            "BABEL_TRANSLATION_DIRECTORIES": str(ROOT / "translations"),
            "WTF_CSRF_TIME_LIMIT": None,
        }


class EnvironmentWithFiles(EnvSettingsSource):
    """The environment, where NAME_FILE names a file that holds the value of NAME."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        variables = dict(self.env_vars)
        for name, path in self.env_vars.items():
            is_ours = name.startswith("outreach_") or name in {
                "database_url_file",
                "redis_url_file",
            }
            if is_ours and name.endswith("_file") and path:
                variables.setdefault(name.removesuffix("_file"), Path(path).read_text().strip())
        self.env_vars = variables


def _variable(location: tuple[int | str, ...]) -> str:
    """The name under which an operator knows the setting."""
    name = str(location[0])
    return name if name.isupper() else f"OUTREACH_{name.upper()}"


def load(**overrides: Any) -> Settings:
    """Reads and checks the settings; `overrides` are for tests and win over the environment."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            _variable(problem["loc"]) + ": " + problem["msg"]
            if problem["loc"]
            else problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
        ]
        raise ConfigurationError("\n".join(lines)) from None
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {os.strerror(error.errno or 0)}") from None
