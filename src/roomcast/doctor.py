"""`roomcast doctor`: checks whether a server with these settings would start and work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlmodel import text

from roomcast.components import is_push_enabled, open_storage, push_subject, read_trusted_documents
from roomcast.core import migrations
from roomcast.core.db import Database
from roomcast.core.direct_queries import count, fetch
from roomcast.core.replicas import LAG
from roomcast.database_urls import read_postgres_url
from roomcast.hosts import allowed_names
from roomcast.process_limits import ADVICE, RECOMMENDED_DESCRIPTORS, descriptor_limit
from roomcast.realtime.bus.bus import Bus
from roomcast.settings import (
    OnOff,
    Profile,
    Settings,
    WrongSetting,
    data_folder,
    incoming_folder,
    secret_keys,
    vapid_key,
)
from roomcast.startup import check_poolers
from roomcast.uploads.storage import check_storage

BUS_SECONDS = REPLICA_SECONDS = 5.0
STORAGE_SECONDS = 10.0


class Finding(NamedTuple):
    """`problem` says what is wrong and what to do; None if the check passed. `note` describes what was found."""

    subject: str
    problem: str | None
    note: str = ""


async def run_checks(settings: Settings) -> list[Finding]:
    """Run all checks, also after one has failed. Changes nothing but the data folder, where it may create keys."""
    findings = []
    for subject, check in CHECKS.items():
        try:
            findings.append(Finding(subject, None, await check(settings)))
        except (WrongSetting, migrations.UnusableDatabase) as error:
            findings.append(Finding(subject, str(error)))
    return findings


async def _profile(settings: Settings) -> str:
    read_trusted_documents(settings)
    if settings.profile is Profile.DEVELOPMENT and settings.host not in ("127.0.0.1", "localhost", "::1"):
        return "development; other machines can reach this server, so consider the stricter ROOMCAST_PROFILE=production"
    return settings.profile.value


async def _hosts(settings: Settings) -> str:
    return f"answers to IP addresses and {', '.join(sorted(allowed_names(settings)))}"


async def _secret(settings: Settings) -> str:
    data_folder(settings)
    count = len(secret_keys(settings))
    source = f"stored in {settings.data_dir}" if settings.secret_key is None else "set"
    return f"{source}, {count} key{'s' if count > 1 else ''}"


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
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WrongSetting(f"ROOMCAST_STORAGE_URL: a test file could not be stored: {reason}") from None
    return "in a bucket"


async def _descriptors(_settings: Settings) -> str:
    limit = descriptor_limit()
    if limit is not None and limit < RECOMMENDED_DESCRIPTORS:
        return f"only {limit} files and connections: {ADVICE}"
    return "no limit" if limit is None else f"up to {limit} files and connections"


async def _database(settings: Settings) -> str:
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
        except migrations.DRIVER_ERRORS as error:
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


CHECKS: dict[str, Callable[[Settings], Awaitable[str]]] = {
    "profile": _profile,
    "hosts": _hosts,
    "secret": _secret,
    "files": _files,
    "descriptors": _descriptors,
    "database": _database,
    "replicas": _replicas,
    "migrations": _migrations,
    "bus": _bus,
    "push": _push,
}
