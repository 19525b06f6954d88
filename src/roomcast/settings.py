"""Every setting: read once from the environment (or `.env`), checked at start, passed on by hand."""

import os
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "ROOMCAST_"
MIN_SECRET_BYTES = 32


class WrongSetting(Exception):
    """One sentence per wrong setting: its name, what is wrong with the value, what to do."""


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


def _one_of(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        if urlsplit(url).scheme.split("+")[0] not in schemes:
            raise ValueError(f"the address begins with one of {', '.join(f'{s}://' for s in schemes)}")
        return url

    return AfterValidator(check)


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _origin(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is no web origin like https://chat.example.org")
    return origins


def _web_address(url: str | None) -> str | None:
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("the address begins with http:// or https://")
    return url.rstrip("/") if url else None


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


List = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
DatabaseUrl = Annotated[str, _one_of("sqlite", "postgresql", "postgres")]
BusUrl = Annotated[str, _one_of("memory", "redis", "rediss", "redis-cluster", "postgresql", "postgres", "nats")]


class Settings(BaseSettings):
    """See `.env.example` for what each one means."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    data_dir: Path = Path("data")
    database_url: DatabaseUrl = ""
    database_direct_url: DatabaseUrl = ""
    bus_url: BusUrl = "memory://"
    secret_key: Annotated[SecretStr | None, BeforeValidator(_empty_is_none)] = None
    access_token_seconds: int = Field(default=900, ge=1)
    refresh_token_days: int = Field(default=30, ge=1)
    signup_mode: SignupMode = SignupMode.OPEN
    first_user_is_admin: bool = True
    room_creation: RoomCreation = RoomCreation.EVERYONE
    allowed_origins: Annotated[List, AfterValidator(_origin)] = ()
    profile: Profile = Profile.DEVELOPMENT
    workers: int = Field(default=1, ge=1)
    migrate_on_start: Annotated[bool | None, BeforeValidator(_empty_is_none)] = None
    public_url: Annotated[str | None, AfterValidator(_web_address)] = None
    trusted_proxies: List = ()
    rate_limits: OnOff = OnOff.ON
    log_level: LogLevel = LogLevel.INFO
    log_format: Annotated[LogFormat | None, BeforeValidator(_empty_is_none)] = None

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
    def _together(self) -> "Settings":
        if self.is_sqlite and self.workers > 1:
            raise ValueError(
                f"{PREFIX}WORKERS: SQLite is one process's database; set {PREFIX}WORKERS=1, "
                f"or {PREFIX}DATABASE_URL to a postgresql:// address"
            )
        if self.workers > 1 and self.bus_url.startswith("memory:"):
            raise ValueError(
                f"{PREFIX}BUS_URL: memory:// reaches only one process; set it to a redis://, nats:// or "
                f"postgresql:// address, or {PREFIX}WORKERS=1"
            )
        if self.profile is Profile.PRODUCTION and self.secret_key is None:
            raise ValueError(
                f"{PREFIX}SECRET_KEY: not set; the production profile wants one of at least {MIN_SECRET_BYTES} bytes, "
                "the same for every process"
            )
        return self

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def migrates_on_start(self) -> bool:
        return self.is_sqlite if self.migrate_on_start is None else self.migrate_on_start


def load(**overrides: Any) -> Settings:
    """The settings of this process. Raises WrongSetting."""
    try:
        settings = Settings(**overrides)
        _keys(settings)
    except ValidationError as error:
        raise WrongSetting("\n".join(_sentence(dict(problem)) for problem in error.errors())) from None
    return settings


def _sentence(problem: dict[str, Any]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    name = f"{PREFIX}{str(problem['loc'][0]).upper()}"
    shown = "" if name.endswith(("KEY", "URL")) else f" {str(problem['input'])!r} is not usable:"
    return f"{name}:{shown} {text[:1].lower() + text[1:]}. See .env.example for what it takes."


# ------------------------------------------------------------------ the secret


def _keys(settings: Settings) -> list[bytes]:
    if settings.secret_key is None:
        return []
    keys = [part.strip().encode() for part in settings.secret_key.get_secret_value().split(",")]
    if any(len(key) < MIN_SECRET_BYTES for key in keys):
        raise WrongSetting(
            f"{PREFIX}SECRET_KEY: every key has at least {MIN_SECRET_BYTES} bytes; make one with "
            '`python3 -c "import secrets; print(secrets.token_urlsafe(48))"`'
        )
    return keys


def secret_keys(settings: Settings) -> list[bytes]:
    """The keys that sign and verify access tokens, the signing one first. Without a setting, one is made on the first
    start and kept in the data folder, readable by its owner alone. Raises WrongSetting."""
    return _keys(settings) or [_kept_key(settings.data_dir)]


def _kept_key(data_dir: Path) -> bytes:
    path = data_dir / "secret.key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    except OSError as error:
        raise WrongSetting(f"{PREFIX}DATA_DIR: {path} cannot be written ({error.strerror})") from None
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    key = path.read_bytes().strip()
    if len(key) < MIN_SECRET_BYTES:
        raise WrongSetting(f"{path} holds no key of at least {MIN_SECRET_BYTES} bytes; delete it to get a new one")
    return key
