"""Builds single components from the settings: storage, pushes, rate limits, web origins, persisted documents."""

from dataclasses import fields
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry

from roomcast.api.execution.persisted import InvalidManifest, Manifest, PersistedQueries, read_manifest
from roomcast.api.websocket.timeouts import Timeouts
from roomcast.core.db import Database
from roomcast.core.rates import ClientAddresses, MemoryBuckets, Rate, RedisBuckets
from roomcast.core.refusals import Refusals
from roomcast.data_folder import incoming_folder, vapid_key
from roomcast.limit_settings import Allowance, LimitSettings
from roomcast.notifications.notifier import Notifier
from roomcast.notifications.ssrf_guard import AddressGuard
from roomcast.server.origins import Origins
from roomcast.settings import OnOff, Profile, Settings, WrongSetting
from roomcast.uploads.storage import Folder, Storage

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from roomcast.notifications.sender import PushSender

AnyLimits = TypeVar("AnyLimits", bound="DataclassInstance")


def create_buckets(settings: Settings) -> MemoryBuckets | RedisBuckets:
    """The rate limiter's counters: shared by all processes if they share a Redis, else counted by each process."""
    if not settings.bus_url.startswith(("redis://", "rediss://")):
        return MemoryBuckets()
    from redis.asyncio import Redis  # noqa: PLC0415 (an optional dependency)

    return RedisBuckets(Redis.from_url(settings.bus_url, socket_timeout=0.5, socket_connect_timeout=0.5))


def is_push_enabled(settings: Settings) -> bool:
    """Whether web pushes are sent. Raises WrongSetting if they are switched on and their libraries are missing."""
    is_installed = find_spec("cryptography") is not None and find_spec("httpcore") is not None
    if settings.push is OnOff.ON and not is_installed:
        raise WrongSetting("ROOMCAST_PUSH: install roomcast with the extra `push`, or leave this setting empty")
    return is_installed and settings.push is not OnOff.OFF


def push_subject(settings: Settings) -> str | None:
    """The contact address that push services get (the `sub` claim of VAPID, RFC 8292)."""
    url = settings.public_url
    return settings.vapid_subject or (url if url is not None and url.startswith("https:") else None)


def open_notifier(settings: Settings, db: Database) -> Notifier | None:
    """The sender of web pushes; None where they are off. Raises WrongSetting."""
    if not is_push_enabled(settings):
        return None
    key = vapid_key(settings)
    return Notifier(db, lambda: _push_sender(settings, key), timedelta(seconds=settings.push_delay_seconds))


def _push_sender(settings: Settings, key: bytes) -> "PushSender":
    from roomcast.notifications.sender import PushSender  # noqa: PLC0415 (optional, slow to import, often not needed)

    return PushSender(key, push_subject(settings), AddressGuard(frozenset(settings.push_allowed_hosts)))


def open_storage(settings: Settings) -> Storage:
    """Where the bytes of uploaded files are stored. Raises WrongSetting."""
    if settings.storage_url is None:
        return Folder(incoming_folder(settings).parent)
    try:
        from roomcast.uploads.bucket import Bucket  # noqa: PLC0415 (an optional dependency)
    except ImportError:
        raise WrongSetting(
            "ROOMCAST_STORAGE_URL: install roomcast with the extra `s3`, or leave this setting empty"
        ) from None
    return Bucket(settings.storage_url)


def limits_of(kind: type[AnyLimits], settings: Settings, **others: Any) -> AnyLimits:
    """A dataclass of limits that gets the values of the settings with its fields' names."""
    names = [field.name for field in fields(kind) if field.name in LimitSettings.model_fields]
    found = {name: getattr(settings.limits, name) for name in names}
    rates = {name: Rate(each.per_second, each.burst) for name, each in found.items() if isinstance(each, Allowance)}
    return kind(**{**found, **rates, **others})


class Limiting(NamedTuple):
    """What the parts that enforce limits share."""

    buckets: MemoryBuckets | RedisBuckets
    addresses: ClientAddresses
    refusals: Refusals


def create_limiting(settings: Settings, registry: CollectorRegistry) -> Limiting:
    waiting = "concurrent_operations_per_user"  # refuses nothing: further operations wait
    names = {*LimitSettings.model_fields, "upload_quota_bytes", "min_free_disk_bytes"} - {waiting}
    refusals = Refusals(sorted(names), registry)
    return Limiting(create_buckets(settings), ClientAddresses(settings.trusted_networks), refusals)


def socket_timeouts(settings: Settings) -> Timeouts:
    return Timeouts(closing=settings.close_seconds, max_age=settings.max_connection_age_seconds or None)


def allowed_origins(settings: Settings) -> Origins:
    return Origins(settings.allowed_origins, allow_localhost=settings.profile is Profile.DEVELOPMENT)


def persisted_queries(settings: Settings) -> PersistedQueries:
    """Raises WrongSetting for a file that is not a manifest of documents."""
    automatic = settings.is_on(settings.persisted_queries)
    return PersistedQueries(automatic=automatic, trusted=read_trusted_documents(settings))


def read_trusted_documents(settings: Settings) -> Manifest | None:
    """The only documents that may be executed; None where all may. Raises WrongSetting."""
    try:
        return read_manifest(settings.trusted_documents) if settings.trusted_documents else None
    except InvalidManifest as error:
        raise WrongSetting(f"ROOMCAST_TRUSTED_DOCUMENTS: {error}") from None
