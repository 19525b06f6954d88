"""All settings: read from the environment or `.env` and validated when the process starts."""

import base64
import re
from enum import StrEnum
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from roomcast import environment
from roomcast.database_urls import BROKERS, DATABASES, check_replicas, check_url, read_postgres_url, same_place
from roomcast.environment import PREFIX
from roomcast.environment import WrongSetting as WrongSetting
from roomcast.limit_settings import LimitSettings
from roomcast.setting_values import (
    check_bucket,
    check_header_names,
    check_host,
    check_host_names,
    check_origins,
    check_proxies,
    check_subject,
    check_web_address,
    split_list,
)

MIN_SECRET_BYTES = 32

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the curve P-256: private keys are the numbers from 1 to one less than this (SEC 2, 2.4.2)."""


class SignupMode(StrEnum):
    OPEN = "open"
    INVITE_ONLY = "invite_only"
    CLOSED = "closed"


class RoomCreation(StrEnum):
    EVERYONE = "everyone"
    ADMINS = "admins"


class Profile(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class OnOff(StrEnum):
    ON = "on"
    OFF = "off"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


def _check_vapid_key(key: SecretStr | None) -> SecretStr | None:
    if key is not None and not is_vapid_key(key.get_secret_value()):
        raise ValueError("it has to be the 32 bytes of a P-256 private key in base64url, as web push tools print it")
    return key


def is_vapid_key(text: str) -> bool:
    known = re.fullmatch(r"[A-Za-z0-9_-]{43}=?", text)
    return known is not None and 0 < int.from_bytes(base64.urlsafe_b64decode(text[:43] + "=")) < P256_ORDER


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"{network!r} is not an IP address or a network such as 10.0.0.0/8") from None
    return networks


List = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
DatabaseUrl = Annotated[str, AfterValidator(partial(check_url, schemes=DATABASES))]
BusUrl = Annotated[str, AfterValidator(partial(check_url, schemes=BROKERS))]


class Settings(LimitSettings):
    """The meaning of each setting is described in `.env.example`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    host: Annotated[str, AfterValidator(check_host)] = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path("data")
    database_url: DatabaseUrl = ""
    database_direct_url: DatabaseUrl = ""
    database_read_urls: Annotated[List, AfterValidator(check_replicas)] = ()
    database_pool_size: int = Field(default=15, ge=4, le=1000)
    bus_url: BusUrl = "memory://"
    secret_key: SecretStr | None = None
    access_token_seconds: int = Field(default=900, ge=1, le=10 * 366 * 86400)
    refresh_token_days: int = Field(default=30, ge=1, le=10 * 366)
    session_days: int = Field(default=180, ge=1, le=10 * 366)
    signup_mode: SignupMode = SignupMode.OPEN
    first_user_is_admin: bool = True
    room_creation: RoomCreation = RoomCreation.EVERYONE
    allowed_origins: Annotated[List, AfterValidator(check_origins)] = ()
    allowed_headers: Annotated[List, AfterValidator(check_header_names)] = ()
    allowed_hosts: Annotated[List, AfterValidator(check_host_names)] = ()
    profile: Profile = Profile.DEVELOPMENT
    introspection: OnOff | None = None
    playground: OnOff | None = None
    get_queries: OnOff | None = None
    persisted_queries: OnOff | None = None
    trusted_documents: FilePath | None = None
    workers: int = Field(default=1, ge=1, le=1000)
    migrate_on_start: bool | None = None
    public_url: Annotated[str | None, AfterValidator(check_web_address)] = None
    drain_seconds: float = Field(default=0, ge=0, le=3600)
    close_seconds: float = Field(default=3, ge=0, le=3600)
    max_connection_age_seconds: float = Field(default=0, ge=0, le=10 * 366 * 86400)
    trusted_proxies: Annotated[List, AfterValidator(check_proxies)] = ()
    trusted_networks: Annotated[List, AfterValidator(_check_networks)] = ()
    rate_limits: OnOff = OnOff.ON
    presence_grace_seconds: int = Field(default=15, ge=1, le=3600)
    storage_url: Annotated[str | None, AfterValidator(check_bucket)] = None
    max_upload_bytes: int = Field(default=25 * 1024 * 1024, ge=1, le=2**31 - 1)
    upload_quota_bytes: int = Field(default=5 * 1024**3, ge=1, le=2**53)
    min_free_disk_bytes: int = Field(default=256 * 1024**2, ge=0, le=2**53)
    keep_originals: bool = False
    max_response_bytes: int = Field(default=4 * 1024 * 1024, ge=64 * 1024, le=2**31 - 1)
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    push: OnOff | None = None
    push_delay_seconds: float = Field(default=15, ge=0.1, le=300)
    push_allowed_hosts: Annotated[List, AfterValidator(check_host_names)] = ()
    vapid_private_key: Annotated[SecretStr | None, AfterValidator(_check_vapid_key)] = None
    vapid_subject: Annotated[str | None, AfterValidator(check_subject)] = None
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments come first, then the environment, `.env`, files with secrets, and variables of the platform."""
        own, dotenv = cast("EnvSettingsSource", env_settings), cast("EnvSettingsSource", dotenv_settings)
        own.env_vars = environment.without_service_links(own.env_vars)
        variables = {**dotenv.env_vars, **own.env_vars}
        environment.check_names(variables, cls.model_fields)
        platform = environment.values_from_platform(own.env_vars)
        files = environment.values_from_files(variables, cls.model_fields)
        others = InitSettingsSource(settings_cls, {**platform, **files})
        return init_settings, env_settings, dotenv_settings, others

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, found: dict[str, Any]) -> dict[str, Any]:
        data_dir = Path(found.get("data_dir") or "data")
        database = found.get("database_url") or f"sqlite:///{data_dir / 'roomcast.db'}"
        return {
            **found,
            "data_dir": data_dir,
            "database_url": database,
            "database_direct_url": found.get("database_direct_url") or database,
        }

    @model_validator(mode="after")
    def _check_combinations(self) -> "Settings":
        if self.is_sqlite != self.database_direct_url.startswith("sqlite"):
            raise ValueError(
                f"{PREFIX}DATABASE_DIRECT_URL: it has to lead to the same database as {PREFIX}DATABASE_URL, so it "
                "has to begin with the same kind of database"
            )
        if self.is_sqlite and self.database_read_urls:
            raise ValueError(f"{PREFIX}DATABASE_READ_URLS: only PostgreSQL has replicas; leave it empty with SQLite")
        if self.is_sqlite and self.workers > 1:
            raise ValueError(
                f"{PREFIX}WORKERS: SQLite works with one process only; set {PREFIX}WORKERS=1, "
                f"or {PREFIX}DATABASE_URL to a postgresql:// address"
            )
        if self.workers > 1 and self.bus_url.startswith("memory:"):
            raise ValueError(
                f"{PREFIX}BUS_URL: memory:// connects no other processes; set it to a redis://, nats:// or "
                f"postgresql:// address, or set {PREFIX}WORKERS=1"
            )
        if self.bus_url.startswith("postgres") and read_postgres_url(self.bus_address).is_pooled:
            raise ValueError(
                f"{PREFIX}DATABASE_DIRECT_URL: the bus listens on PostgreSQL, which does not work through a pooler "
                "that shares connections; set it to the address of PostgreSQL itself, without pgbouncer=true"
            )
        if self.profile is Profile.PRODUCTION and self.secret_key is None:
            raise ValueError(
                f"{PREFIX}SECRET_KEY: not set; the production profile requires one of at least {MIN_SECRET_BYTES} "
                "bytes, the same for all processes"
            )
        return self

    @property
    def limits(self) -> LimitSettings:
        """The limits that apply."""
        return self if self.rate_limits is OnOff.ON else self.without_limits_of_clients()

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def bus_address(self) -> str:
        """Where the bus connects. LISTEN needs a connection of its own, so a bus on the database goes past a pooler."""
        return self.database_direct_url if same_place(self.bus_url, self.database_url) else self.bus_url

    def is_on(self, switch: OnOff | None) -> bool:
        """Whether a switch is on. One that is not set is on in the development profile."""
        return self.profile is Profile.DEVELOPMENT if switch is None else switch is OnOff.ON

    @property
    def serves_metrics(self) -> bool:
        return self.metrics_token is not None or self.profile is Profile.DEVELOPMENT

    @property
    def migrates_on_start(self) -> bool:
        return self.is_sqlite if self.migrate_on_start is None else self.migrate_on_start


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises WrongSetting."""
    try:
        settings = Settings(**overrides)
        configured_keys(settings)
    except ValidationError as error:
        # The direct database URL defaults to the database URL, so the same problem would be reported twice.
        distinct = {(problem["msg"], repr(problem["input"])): dict(problem) for problem in reversed(error.errors())}
        raise WrongSetting("\n".join(map(_sentence, reversed(distinct.values())))) from None
    return settings


def _sentence(problem: dict[str, Any]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    setting = str(problem["loc"][0])
    shown = "" if environment.may_hold_secret(setting) else f" {str(problem['input'])!r} is not valid:"
    return f"{environment.source(setting)}:{shown} {text[:1].lower() + text[1:]}. See .env.example."


def configured_keys(settings: Settings) -> list[bytes]:
    """The keys in ROOMCAST_SECRET_KEY; empty if it is not set. Raises WrongSetting."""
    if settings.secret_key is None:
        return []
    keys = [part.strip().encode() for part in settings.secret_key.get_secret_value().split(",")]
    if any(len(key) < MIN_SECRET_BYTES for key in keys):
        raise WrongSetting(
            f"{PREFIX}SECRET_KEY: every key needs at least {MIN_SECRET_BYTES} bytes; create one with "
            '`python3 -c "import secrets; print(secrets.token_urlsafe(48))"`'
        )
    return keys
