"""Steps before a server starts: logging, keys and folders, and the schema of the database."""

import asyncio
import logging
import sys
from pathlib import Path
from uuid import UUID

from sqlmodel import select

from roomcast import tracing
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.policy import SignupMode as AccountSignupMode
from roomcast.components import is_push_enabled, open_storage
from roomcast.core import event_log, migrations, postgres, sqlite
from roomcast.core.db import Database, driver_url
from roomcast.core.keys import derive_key
from roomcast.core.outages import reason
from roomcast.core.process_lock import is_server_running
from roomcast.core.telemetry import configure_logs
from roomcast.data_folder import data_folder, incoming_folder, secret_keys, vapid_key
from roomcast.database_urls import PostgresUrl, read_postgres_url
from roomcast.environment import source
from roomcast.settings import LogFormat, Profile, Settings, WrongSetting
from roomcast.uploads import ownership

logger = logging.getLogger("roomcast")

STORAGE_SECONDS = SQLITE_SECONDS = 5.0
"""How long a storage may take to tell whose it is when a process starts, and how long an SQLite file is checked."""


def start_logs(settings: Settings) -> None:
    """Log as JSON, unless ROOMCAST_LOG_FORMAT says otherwise or standard error is a terminal."""
    as_json = settings.log_format is LogFormat.JSON or (settings.log_format is None and not sys.stderr.isatty())
    configure_logs(settings.log_level, as_json=as_json)


def start_traces() -> bool:
    """Send traces, if OTEL_ variables name a collector; False if not. Raises WrongSetting."""
    try:
        return tracing.start()
    except tracing.WrongTracing as error:
        raise WrongSetting(str(error)) from None


def create_keys_and_folders(settings: Settings) -> None:
    """Create the keys and the upload folder where they are missing. Raises WrongSetting.

    Runs before worker processes start: each of them reads the same keys.
    """
    secret_keys(settings)
    if is_push_enabled(settings):
        vapid_key(settings)
    incoming_folder(settings)


def unfinished_restore(settings: Settings) -> Path:
    """The file that exists while `roomcast restore` replaces the data, with the name of the backup."""
    return data_folder(settings) / "restore.unfinished"


def check_restored(settings: Settings) -> None:
    """Raises WrongSetting if a restore was interrupted."""
    if (unfinished := unfinished_restore(settings)).exists():
        raise WrongSetting(f"a restore was interrupted: run `roomcast restore {unfinished.read_text().strip()}` again")


async def prepare_database(settings: Settings) -> None:
    """Migrate the database where the settings allow it. Raises WrongSetting where the operator has to migrate."""
    check_restored(settings)
    try:
        await check_poolers(settings)
        found, wanted = await migrations.revision(settings.database_url), migrations.head()
        if found != wanted and settings.migrates_on_start:
            await migrations.upgrade(settings.database_direct_url)
            found = await migrations.revision(settings.database_url)
    except migrations.UnusableDatabase as error:
        raise WrongSetting(f"{source('database_url')}: the database cannot be used: {error}") from None
    if found != wanted:
        raise WrongSetting(
            f"the database is at revision {found or 'none'}, this release needs {wanted}: run `roomcast migrate`, "
            "or set ROOMCAST_MIGRATE_ON_START=true"
        )
    await check_store(settings)


async def check_migration(settings: Settings) -> None:
    """Raises WrongSetting if a migration would stop a running server: on SQLite, triggers of the new schema may call
    functions that the connections of an earlier release do not have."""
    if not settings.is_sqlite:
        return
    try:
        is_used = await asyncio.to_thread(is_server_running, settings.database_url)
        is_old = is_used and await migrations.revision(settings.database_url) != migrations.head()
    except (OSError, migrations.UnusableDatabase):  # the next step reports it
        return
    if is_old:
        raise WrongSetting(
            "ROOMCAST_DATABASE_URL: a server of an earlier release uses this SQLite database, which has to be migrated "
            "first: stop that server"
        )


async def check_store(settings: Settings) -> None:
    """Raises WrongSetting for a database that `roomcast copy` has not completed, or has moved to another place."""
    db = Database(settings.database_url)
    try:
        async with db.read() as session:
            found = (await session.exec(select(event_log.Store.moved_to))).all()
    finally:
        await db.close()
    if not found:
        raise WrongSetting("ROOMCAST_DATABASE_URL: this is an unfinished copy: run the same `roomcast copy` again")
    if found[0] is not None:
        raise WrongSetting(
            f"ROOMCAST_DATABASE_URL: this database was copied to {found[0]}, and changes since then are only there. To "
            "use this one nevertheless, run `roomcast copy --abort --from URL` with its address"
        )


async def claim_storage(settings: Settings) -> None:
    """Check that the uploads belong to this database. Raises WrongSetting.

    A storage that does not answer is no reason not to start: until it has been checked, nothing in it is swept.
    """
    db, storage = Database(settings.database_url), open_storage(settings)
    try:
        async with asyncio.timeout(STORAGE_SECONDS):
            await ownership.claim(db, storage)
    except ownership.ForeignStorage as error:
        raise WrongSetting(str(error)) from None
    except Exception as error:  # the drivers of storages raise many kinds of errors
        logger.warning("it could not be checked whether the stored files belong to this database: %s", reason(error))
    finally:
        await db.close()


async def check_poolers(settings: Settings) -> None:
    """Raise WrongSetting where a pooler shares connections between transactions and the settings do not say so, or
    where it is in the way of LISTEN. Raises UnusableDatabase."""
    if settings.is_sqlite:
        return
    address = read_postgres_url(settings.database_url)
    if not address.is_pooled and await _is_pooled(address):
        raise WrongSetting(
            "ROOMCAST_DATABASE_URL: a pooler shares the connections of this address between transactions; append "
            "?pgbouncer=true (&pgbouncer=true after other parameters), and set ROOMCAST_DATABASE_DIRECT_URL to the "
            "address of PostgreSQL itself"
        )
    needs_own = {settings.database_direct_url} if settings.database_direct_url != settings.database_url else set()
    if settings.bus_url.startswith("postgres"):
        needs_own.add(settings.bus_address)
    for url in needs_own - {settings.database_url}:
        if await _is_pooled(read_postgres_url(url)):
            name = "DATABASE_DIRECT_URL" if url == settings.database_direct_url else "BUS_URL"
            raise WrongSetting(
                f"ROOMCAST_{name}: a pooler shares the connections of this address between transactions, so LISTEN "
                "does not work; set it to the address of PostgreSQL itself"
            )


async def _is_pooled(address: PostgresUrl) -> bool:
    try:
        return await postgres.is_behind_transaction_pooler(address)
    except migrations.driver_errors() as error:
        raise migrations.UnusableDatabase(migrations.first_line(error)) from error


async def check_installation(settings: Settings) -> str:
    """The id of the installation. Raises WrongSetting where a start is refused: a restore or a copy that is not
    complete, a database that was copied to another one, the uploads of another installation. Changes nothing."""
    check_restored(settings)
    if await migrations.revision(settings.database_url) != migrations.head():
        return "checked once the database is migrated"
    await check_store(settings)
    db = Database(settings.database_url)
    try:
        async with asyncio.timeout(STORAGE_SECONDS):
            known, _ = await ownership.check(db, open_storage(settings))
    except ownership.ForeignStorage as error:
        raise WrongSetting(str(error)) from None
    except Exception as error:  # the drivers of storages raise many kinds of errors
        raise WrongSetting(f"it could not be read whose the stored files are: {reason(error)}") from None
    finally:
        await db.close()
    return str(known or "none yet")


def check_sqlite(settings: Settings) -> None:
    """Raises WrongSetting for a damaged file. SQLite applies a log that it finds beside a file, also that of a former
    file, and damages the file by that."""
    path = Path(driver_url(settings.database_url).database or "")
    has_log = path.with_name(f"{path.name}-wal").exists()
    if has_log and (damage := sqlite.find_damage(path, SQLITE_SECONDS)):
        raise WrongSetting(
            f"{source('database_url')}: {path} is damaged ({damage}). If it was put there by hand beside the log "
            f"{path.name}-wal of a former file, stop the server, delete the log, and put the file there again"
        )


def account_rules(settings: Settings, key: bytes, epoch: UUID) -> AccountRules:
    """The set-up token is derived, so it is the same in all processes of one database and differs between databases."""
    needs_setup_token = settings.profile is Profile.PRODUCTION and settings.first_user_is_admin
    return AccountRules(
        AccountSignupMode[settings.signup_mode.name],
        settings.first_user_is_admin,
        settings.refresh_token_days,
        settings.session_days,
        derive_key(key, f"set-up token {epoch}").hex()[:32] if needs_setup_token else None,
    )


def log_setup_token(token: str, public_url: str | None) -> None:
    """Log how to create the first account. Only the operator reads the log.

    The token is in the fragment of the link, which browsers do not send to any server.
    """
    link = f" Open {public_url}/#setup={token} or" if public_url else " Open /#setup=TOKEN on this server, or"
    logger.warning(
        "there is no account yet; the first account becomes the administrator and needs the set-up token %s.%s run "
        "`roomcast create-admin`",
        token,
        link,
    )
