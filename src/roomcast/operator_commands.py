"""The subcommands of `roomcast` for operators: everything but `serve`."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import typer

from roomcast.accounts import actions as accounts
from roomcast.accounts import administration
from roomcast.accounts.models import UserRole
from roomcast.accounts.passwords import Passwords
from roomcast.api.schema import root
from roomcast.components import open_storage
from roomcast.core import event_log, migrations
from roomcast.core.db import Database
from roomcast.core.errors import Refused
from roomcast.core.partitions import partition
from roomcast.data_folder import data_folder
from roomcast.doctor import Level, run_checks
from roomcast.environment import source
from roomcast.maintenance import commands
from roomcast.settings import Settings, WrongSetting, load_settings
from roomcast.startup import check_migration, prepare_database
from roomcast.uploads import ownership

app = typer.Typer()
app.command()(commands.backup)
app.command()(commands.restore)
app.command()(commands.copy)

Partitions = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=1024,
        help="Also partition the tables that grow by room (PostgreSQL). Stop all servers first; it cannot be undone.",
    ),
]


@app.command()
def migrate(partitions: Partitions = None) -> None:
    """Migrate the database to the schema of this release. Safe to run at any time and several times at once.

    With SQLite it is refused while a server of an earlier release runs.
    """
    settings = load_settings()
    data_folder(settings)
    if partitions is not None and settings.is_sqlite:
        raise WrongSetting("ROOMCAST_DATABASE_URL: only PostgreSQL has partitions; leave out --partitions with SQLite")
    asyncio.run(check_migration(settings))
    try:
        asyncio.run(migrations.upgrade(settings.database_direct_url))
        if partitions is not None:
            print(asyncio.run(partition(settings.database_direct_url, partitions)))
    except migrations.UnusableDatabase as error:
        raise WrongSetting(f"{source('database_url')}: the database cannot be used: {error}") from None
    print(f"The database is at revision {migrations.head()}.")


@app.command()
def after_restore() -> None:
    """Run this after restoring a backup, before the server starts. Clients then load all rooms again, because they may
    know events that the backup does not have."""
    asyncio.run(_begin_epoch(load_settings()))
    print("Cursors from before the restore are no longer valid.")


@app.command()
def adopt_storage() -> None:
    """Make the stored uploads those of this database, after a start was refused because they belong to another one.

    Uploads that the database does not know are deleted a day after they were stored."""
    print(f"The stored files belong to installation {asyncio.run(_adopt_storage(load_settings()))} now.")


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead.")] = False) -> None:
    """Check the settings, the database, the bus, the storage and the machine, and print what to do about each problem.

    Each finding is ok, a warning, or wrong: then the exit code is 1.
    """
    findings = asyncio.run(run_checks(load_settings()))
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=1))
    else:
        for subject, level, text in findings:
            print(f"{level:8} {subject:11} {text}")
    sys.exit(any(finding.level is Level.WRONG for finding in findings))


@app.command()
def export_schema() -> None:
    """Print the GraphQL schema."""
    print(root.printed_schema(), end="")


@app.command()
def create_admin(
    username: Annotated[str, typer.Option(prompt=True)],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    email: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Create an account with the role ADMIN."""
    try:
        asyncio.run(_create_admin(load_settings(), username, password, email))
    except Refused as refused:
        print(f"{refused.code}: {refused.message}", file=sys.stderr)
        sys.exit(1)
    print(f"{username} is an administrator.")


@app.command()
def reset_password(
    username: Annotated[str, typer.Argument()],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Set a user's password. All sessions of this user end, in running servers too."""
    try:
        asyncio.run(_reset_password(load_settings(), username, password))
    except Refused as refused:
        print(f"{refused.code}: {refused.message}", file=sys.stderr)
        sys.exit(1)
    print(f"{username} has a new password and is signed out everywhere.")


@asynccontextmanager
async def _open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database, migrated. Raises WrongSetting."""
    await check_migration(settings)
    await prepare_database(settings)
    db = Database(settings.database_url)
    try:
        yield db
    finally:
        await db.close()


async def _reset_password(settings: Settings, username: str, password: str) -> None:
    async with _open_database(settings) as db:
        hashed = await _hash_password(password, username)
        async with db.work() as work:
            await administration.reset_password(work, username, hashed)


async def _begin_epoch(settings: Settings) -> None:
    async with _open_database(settings) as db, db.work() as work:
        await event_log.begin_epoch(work.session)


async def _adopt_storage(settings: Settings) -> UUID:
    async with _open_database(settings) as db:
        return await ownership.adopt(db, open_storage(settings))


async def _hash_password(password: str, username: str) -> str:
    """Raises PasswordTooWeak."""
    passwords = Passwords()
    try:
        passwords.check(password, username=username, path=("password",))
        return await passwords.hash(password)
    finally:
        passwords.close()


async def _create_admin(settings: Settings, username: str, password: str, email: str | None) -> None:
    async with _open_database(settings) as db:
        accounts.check_account(username, email, None)
        account = accounts.NewAccount(username, await _hash_password(password, username), email)
        async with db.work() as work:
            await accounts.create_user(work, account, UserRole.ADMIN)
