"""`roomcast doctor`: checks whether a server with these settings would start and work."""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlmodel import text

from roomcast import tracing
from roomcast.components import is_push_enabled, open_storage, push_subject, read_trusted_documents
from roomcast.core import migrations
from roomcast.core.db import Database
from roomcast.core.direct_queries import count, fetch
from roomcast.core.engines import APPLICATION_NAME
from roomcast.core.outages import reason
from roomcast.core.replicas import LAG
from roomcast.data_folder import data_folder, incoming_folder, secret_keys, vapid_key
from roomcast.database_urls import read_postgres_url
from roomcast.hosts import allowed_names
from roomcast.process_limits import ADVICE, RECOMMENDED_DESCRIPTORS, descriptor_limit
from roomcast.realtime.bus.bus import Bus
from roomcast.settings import OnOff, Profile, Settings, WrongSetting
from roomcast.startup import check_installation, check_poolers, check_sqlite
from roomcast.uploads.storage import check_storage

LOOPBACK = ("127.0.0.1", "localhost", "::1")

BUS_SECONDS = REPLICA_SECONDS = 5.0
STORAGE_SECONDS = 10.0
CLOCK_SECONDS = 2.0

FULL_BYTES = 16 * 1024**2
"""Less free space than this is a full disk, whatever the settings say."""


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """The server runs, but is unsafe, or will fail under some condition."""
    WRONG = "wrong"
    """The server does not start, or a part of it does not work."""


class Finding(NamedTuple):
    """`text` describes what was found; if it is not OK, also what to do."""

    subject: str
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Caution:
    """The result of a check that warns."""

    text: str


async def run_checks(settings: Settings) -> list[Finding]:
    """Run all checks, also after one has failed. Changes nothing but the data folder, where it may create keys."""
    findings = []
    for subject, check in CHECKS.items():
        try:
            found = await check(settings)
        except (WrongSetting, migrations.UnusableDatabase) as error:
            findings.append(Finding(subject, Level.WRONG, str(error)))
        else:
            level, text = (Level.WARNING, found.text) if isinstance(found, Caution) else (Level.OK, found)
            findings.append(Finding(subject, level, text))
    return findings


async def _profile(settings: Settings) -> str | Caution:
    read_trusted_documents(settings)
    if not is_production(settings) and settings.host not in LOOPBACK:
        return Caution(
            "development, and other machines can reach this server: set the stricter ROOMCAST_PROFILE=production"
        )
    return settings.profile.value


def is_production(settings: Settings) -> bool:
    return settings.profile is Profile.PRODUCTION


async def _address(settings: Settings) -> str | Caution:
    url = settings.public_url
    if url is None:
        return "no public URL: links begin with the address that the client has used"
    if is_production(settings) and url.startswith("http:"):
        return Caution(
            f"ROOMCAST_PUBLIC_URL: {url} is not encrypted, so passwords and messages can be read on the way, and "
            "browsers allow neither pushes nor copying; put a proxy with TLS in front, and set the https:// address"
        )
    return url


async def _proxies(settings: Settings) -> str | Caution:
    proxies, url = settings.trusted_proxies, settings.public_url or ""
    if "*" in proxies:
        return Caution(
            "ROOMCAST_TRUSTED_PROXIES: with * everybody who reaches this port can claim any address, which evades the "
            "limits per address; name the address or the network of the proxy"
        )
    if not proxies and url.startswith("https:"):
        return Caution(
            "ROOMCAST_TRUSTED_PROXIES: not set, but an https:// public URL needs a proxy in front; until it is named, "
            "all clients share the limits of the proxy's address"
        )
    return f"trusted: {', '.join(proxies)}" if proxies else "none"


async def _limits(settings: Settings) -> str | Caution:
    if settings.rate_limits is OnOff.ON:
        return "on"
    if not is_production(settings):
        return "off"
    return Caution(
        "ROOMCAST_RATE_LIMITS: off, so passwords can be guessed without a limit and one client can use up the server; "
        "raise single limits instead"
    )


async def _hosts(settings: Settings) -> str:
    return f"answers to IP addresses and {', '.join(sorted(allowed_names(settings)))}"


PLACEHOLDERS = ("changeme", "change-me", "change_me", "secret", "password", "example", "insecure", "replace", "default")
"""Words of example texts. A random key in base64 has one of them with a probability of about one in twenty million."""

MIN_DISTINCT_BYTES = 12
"""A random text of 32 characters has about twenty different ones, and sixteen of 32 in hexadecimal digits."""


def weakness(key: bytes) -> str | None:
    """Why somebody may guess this key."""
    text = key.decode(errors="replace").lower()
    if word := next((word for word in PLACEHOLDERS if word in text), None):
        return f"it contains the word {word!r}, as example texts do"
    if key in (key + key)[1:-1]:
        return "it repeats a shorter text"
    return "it has too few different characters" if len(set(key)) < MIN_DISTINCT_BYTES else None


async def _secret(settings: Settings) -> str | Caution:
    data_folder(settings)
    keys = secret_keys(settings)
    problem = next(filter(None, map(weakness, keys)), None)
    if len(set(keys)) < len(keys):
        problem = "the list has the same key twice"
    if problem is not None:
        advice = (
            f"ROOMCAST_SECRET_KEY: {problem}; with the key anybody can act as any user; create one with "
            '`python3 -c "import secrets; print(secrets.token_urlsafe(48))"`'
        )
        if is_production(settings):
            raise WrongSetting(advice)
        return Caution(advice)
    source = f"stored in {settings.data_dir}" if settings.secret_key is None else "set"
    return f"{source}, {len(keys)} key{'s' if len(keys) > 1 else ''}"


async def _files(settings: Settings) -> str:
    folder = incoming_folder(settings)
    if settings.storage_url is None:
        return f"in {folder.parent}"
    try:
        async with asyncio.timeout(STORAGE_SECONDS):
            await check_storage(open_storage(settings), folder)
    except WrongSetting:
        raise
    except Exception as error:  # drivers raise many kinds of errors
        raise WrongSetting(f"ROOMCAST_STORAGE_URL: a test file could not be stored: {reason(error)}") from None
    return "in a bucket"


async def _disk(settings: Settings) -> str | Caution:
    free, reserved = shutil.disk_usage(data_folder(settings)).free, settings.min_free_disk_bytes
    text = f"{free / 1024**3:.1f} GiB free in {settings.data_dir}"
    if free < max(reserved, FULL_BYTES):
        raise WrongSetting(
            f"ROOMCAST_DATA_DIR: only {text}, so uploads are refused (ROOMCAST_MIN_FREE_DISK_BYTES), and an SQLite "
            "database soon takes no messages: free some space"
        )
    return Caution(f"ROOMCAST_DATA_DIR: only {text}: free some space soon") if free < 4 * reserved else text


async def _descriptors(_settings: Settings) -> str | Caution:
    limit = descriptor_limit()
    if limit is not None and limit < RECOMMENDED_DESCRIPTORS:
        return Caution(f"only {limit} files and connections: {ADVICE}")
    return "no limit" if limit is None else f"up to {limit} files and connections"


async def _database(settings: Settings) -> str:
    if settings.is_sqlite:
        await asyncio.to_thread(check_sqlite, settings)  # first: to open the file normally applies its log to it
    for name, url in (("DATABASE_URL", settings.database_url), ("DATABASE_DIRECT_URL", settings.database_direct_url)):
        try:
            await migrations.revision(url)
        except migrations.UnusableDatabase as error:
            raise WrongSetting(f"ROOMCAST_{name}: the database cannot be used: {error}") from None
    if settings.is_sqlite:
        return "SQLite"
    await check_poolers(settings)
    return f"PostgreSQL; {await _connections(settings)}"


async def _replicas(settings: Settings) -> str:
    """Raises WrongSetting for an address that leads to no standby of the same database."""
    if not settings.database_read_urls:
        return "none"
    primary, _, _ = await _identity(settings.database_direct_url)
    lags = []
    for url in settings.database_read_urls:
        try:
            async with asyncio.timeout(REPLICA_SECONDS):
                system, is_standby, lag = await _identity(url)
        except migrations.driver_errors() as error:
            raise WrongSetting(
                f"ROOMCAST_DATABASE_READ_URLS: {_place(url)} cannot be used: {migrations.first_line(error)}"
            ) from None
        if system != primary:
            raise WrongSetting(f"ROOMCAST_DATABASE_READ_URLS: {_place(url)} is no copy of ROOMCAST_DATABASE_URL")
        if not is_standby:
            raise WrongSetting(
                f"ROOMCAST_DATABASE_READ_URLS: {_place(url)} is no standby, or it was promoted; no reads go there"
            )
        lags.append(f"{_place(url)} is {lag:.1f} s behind")
    return "; ".join(lags)


async def _identity(url: str) -> tuple[int, bool, float]:
    """The identifier of the system, whether it is a standby, and its lag in seconds."""
    db = Database(url, pool_size=1)
    try:
        async with db.read() as session:
            [(system,)] = await fetch(session, text("SELECT system_identifier FROM pg_control_system()"))
            [(is_standby,)] = await fetch(session, text("SELECT pg_is_in_recovery()"))
            [(lag,)] = await fetch(session, LAG) if is_standby else [(0,)]
            return system, is_standby, float(lag)
    finally:
        await db.close()


def _place(url: str) -> str:
    """Host and port, without the password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "the local server"


_SETTING, _RESERVED = "current_setting('%s')::int", "superuser_reserved_connections"


async def _connections(settings: Settings) -> str:
    """How many connections this machine's processes open, of those that PostgreSQL accepts."""
    wanted = settings.workers * settings.database_pool_size
    if read_postgres_url(settings.database_url).is_pooled:
        return f"up to {wanted} connections to the pooler"
    db = Database(settings.database_url, pool_size=1)
    try:
        async with db.read() as session:
            accepted = await count(session, text(f"SELECT {_SETTING % 'max_connections'} - {_SETTING % _RESERVED}"))
    finally:
        await db.close()
    if wanted > accepted:
        raise WrongSetting(
            f"ROOMCAST_DATABASE_POOL_SIZE: {settings.workers} processes open up to {wanted} connections, and "
            f"PostgreSQL accepts {accepted}: lower it, or raise max_connections, or put pgbouncer in between"
        )
    return f"up to {wanted} connections from here, of {accepted} that it accepts"


async def _clock(settings: Settings) -> str | Caution:
    """Compares the clocks of this machine and of PostgreSQL's. Processes on several machines need equal ones."""
    if settings.is_sqlite:
        return "one machine"
    [[theirs]] = await _ask(settings, "SELECT extract(epoch FROM clock_timestamp())::float8")
    seconds = abs(time.time() - theirs)
    if seconds > CLOCK_SECONDS:
        return Caution(
            f"the clocks of this machine and of the database differ by {seconds:.0f} s, so messages get wrong times "
            "and tokens end too early or too late: run an NTP service on both"
        )
    return "agrees with that of the database"


async def _processes(settings: Settings) -> str | Caution:
    """Which server processes PostgreSQL has sessions of: their releases and machines."""
    if settings.is_sqlite:
        return "SQLite: one process"
    sessions = await _ask(
        settings,
        "SELECT DISTINCT application_name, host(client_addr), host(inet_client_addr()) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'roomcast/%'",
    )
    releases = sorted({name for name, _, _ in sessions})
    machines = {"this one" if each in (None, *LOOPBACK) else each for _, *both in sessions for each in both}
    if len(machines) > 1 and settings.storage_url is None:
        return Caution(
            f"{len(machines)} machines use this database ({', '.join(sorted(machines))}), and uploads are stored in a "
            "folder: unless they share it, a file that was uploaded to one is missing on the others; set "
            "ROOMCAST_STORAGE_URL"
        )
    if set(releases) - {APPLICATION_NAME}:
        return Caution(
            f"other releases are running: {', '.join(releases)}; this is {APPLICATION_NAME}. Finish the upgrade"
        )
    if settings.bus_url.startswith("memory:"):
        return "one at most: a second one needs ROOMCAST_BUS_URL"
    return f"{', '.join(releases) or 'none'} on {max(1, len(machines))} machine{'s' if len(machines) > 1 else ''}"


async def _ask(settings: Settings, sql: str) -> Sequence[Any]:
    """The rows of a statement. Raises UnusableDatabase."""
    db = Database(settings.database_url, pool_size=1)
    try:
        async with db.read() as session:
            return await fetch(session, text(sql))
    except migrations.driver_errors() as error:
        raise migrations.UnusableDatabase(f"the database cannot be asked: {reason(error)}") from None
    finally:
        await db.close()


async def _migrations(settings: Settings) -> str:
    found, wanted = await migrations.revision(settings.database_url), migrations.head()
    if found == wanted:
        return f"at revision {wanted}"
    if settings.migrates_on_start:
        return f"at revision {found or 'none'}; the next start migrates it to {wanted}"
    raise WrongSetting(f"at revision {found or 'none'}, this release needs {wanted}: run `roomcast migrate`")


async def _bus(settings: Settings) -> str:
    scheme = settings.bus_url.partition("://")[0]
    bus = Bus(settings.bus_address, on_frame=lambda frame: None, on_resync=lambda topics: None)
    try:
        async with asyncio.timeout(BUS_SECONDS):
            await bus.start()
            while not bus.connected:  # noqa: ASYNC110 (the bus has no event for this)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise WrongSetting(
            f"ROOMCAST_BUS_URL: no {scheme} server answers there: start it, or correct the address"
        ) from None
    finally:
        await bus.stop()
    return scheme


async def _push(settings: Settings) -> str:
    if not is_push_enabled(settings):
        return "off" if settings.push is OnOff.OFF else "off: the extra push is not installed"
    vapid_key(settings)
    source = f"key stored in {settings.data_dir}" if settings.vapid_private_key is None else "key set"
    return source if push_subject(settings) else f"{source}; Apple's push service requires ROOMCAST_VAPID_SUBJECT"


async def _traces(_settings: Settings) -> str:
    try:
        if not tracing.is_wanted(os.environ):
            return "off: no OTEL_EXPORTER_OTLP_ENDPOINT in the environment"
    except tracing.WrongTracing as error:
        raise WrongSetting(str(error)) from None
    if find_spec("opentelemetry") is None:
        raise WrongSetting(
            "OTEL_EXPORTER_OTLP_ENDPOINT: install roomcast with the extra `otel`, or unset this variable"
        )
    return "sent as the OTEL_ variables say"


CHECKS: Mapping[str, Callable[[Settings], Awaitable[str | Caution]]] = {
    "profile": _profile,
    "address": _address,
    "hosts": _hosts,
    "proxies": _proxies,
    "limits": _limits,
    "secret": _secret,
    "files": _files,
    "disk": _disk,
    "descriptors": _descriptors,
    "database": _database,
    "replicas": _replicas,
    "migrations": _migrations,
    "installation": check_installation,
    "clock": _clock,
    "processes": _processes,
    "bus": _bus,
    "push": _push,
    "traces": _traces,
}
