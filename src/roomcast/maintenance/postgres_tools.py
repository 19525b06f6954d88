"""PostgreSQL's own tools: `pg_dump`, `pg_restore` and `psql`."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, cast

import sqlalchemy as sa

INSTALL = "install PostgreSQL's client programs (Debian: postgresql-client) of version {major} or later"
VARIABLES = {
    "sslmode": "PGSSLMODE",
    "ssl": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "host": "PGHOST",
    "port": "PGPORT",
    "options": "PGOPTIONS",
}
"""Parameters of a database's address, and the environment variables that mean the same to the tools."""

READ_BYTES = 1024 * 1024


class ToolFailed(Exception):
    """A tool is missing or has failed. The message says what to do, or what the tool said."""


def find(name: str, major: int) -> Path:
    """The path of a tool that can talk to a server of this major version. Raises ToolFailed."""
    on_path = shutil.which(name)
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_version_of_folder, reverse=True)
    found = {path: _major(path) for path in (*installed, *([Path(on_path)] if on_path else []))}
    for path, version in found.items():
        if version >= major:
            return path
    have = f"only version {max(found.values())} of {name} was found" if found else f"{name} was not found"
    raise ToolFailed(f"{have}, and the server is version {major}: {INSTALL.format(major=major)}")


def _version_of_folder(path: Path) -> float:
    try:
        return float(path.parts[-3])
    except ValueError:
        return 0


def _major(path: Path) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\) (\d+)", said)
    return int(match[1]) if match else 0


def environment(url: str) -> dict[str, str]:
    """The environment of a tool that connects to this address. A password in an argument could be read by all users."""
    target = sa.make_url(url)
    chosen: dict[str, object] = {
        "PGHOST": target.host,
        "PGPORT": target.port,
        "PGUSER": target.username,
        "PGDATABASE": target.database,
    }
    chosen |= {"PGPASSWORD": target.password, "PGCONNECT_TIMEOUT": 10}
    chosen |= {VARIABLES[name]: value for name, value in target.query.items() if name in VARIABLES}
    return dict(os.environ) | {name: str(value) for name, value in chosen.items() if value is not None}


async def dump(url: str, major: int, schema: str, snapshot_id: str) -> AsyncIterator[bytes]:
    """The dump of a schema in `pg_dump`'s custom format, as of an exported snapshot. Raises ToolFailed."""
    options = ["--format=custom", "--no-owner", "--no-privileges", "--no-comments"]
    tool = await asyncio.to_thread(find, "pg_dump", major)
    command: list[str | Path] = [tool, *options, f"--schema={schema}", f"--snapshot={snapshot_id}"]
    async with _running(command, url) as process:
        output, messages = cast(asyncio.StreamReader, process.stdout), cast(asyncio.StreamReader, process.stderr)
        errors = asyncio.create_task(messages.read(), name="errors of pg_dump")
        while block := await output.read(READ_BYTES):
            yield block
        said = (await errors).decode(errors="replace").strip()
        if await process.wait():
            raise ToolFailed(f"pg_dump failed: {said}")


@asynccontextmanager
async def _running(command: list[str | Path], url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment(url))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def restore(url: str, major: int, schema: str, parts: Iterable[IO[bytes]], *, drop: Collection[str], then: str) -> None:
    """Replace the tables of a database by those of a dump, in one transaction. Raises ToolFailed; nothing has changed
    then.

    `drop`: the tables to drop first. `then`: a statement that runs last.
    """
    # Without COMMIT at the end, psql rolls back: if pg_restore fails in the middle, the database stays as it is.
    drops = "".join(f'DROP TABLE IF EXISTS "{schema}"."{name}" CASCADE;\n' for name in drop)
    before = f"SET client_min_messages = warning;\nBEGIN;\nCREATE EXTENSION IF NOT EXISTS pg_trgm;\n{drops}"
    psql: list[str | Path] = [
        find("psql", major),
        "--quiet",
        "--no-psqlrc",
        "--set=ON_ERROR_STOP=1",
        "--output=/dev/null",
    ]
    options = ["--clean", "--if-exists", "--no-owner", f"--schema={schema}", "--file=-"]
    script: list[str | Path] = [find("pg_restore", major), *options]
    pipe, env = subprocess.PIPE, environment(url)
    with subprocess.Popen(psql, bufsize=0, stdin=pipe, stderr=pipe, env=env) as database:
        commands, messages = cast(IO[bytes], database.stdin), cast(IO[bytes], database.stderr)
        try:
            commands.write(before.encode())
            commands.flush()
            with subprocess.Popen(script, bufsize=0, stdin=pipe, stdout=commands, env=env) as reader:
                _feed(cast(IO[bytes], reader.stdin), parts)
            if reader.returncode == 0:
                commands.write(f"{then};\nCOMMIT;\n".encode())
            commands.close()
        except BrokenPipeError:
            pass  # psql has said why it stopped
        said = messages.read().decode(errors="replace").strip()
    if database.returncode or reader.returncode:
        raise ToolFailed(f"the database could not be restored and is unchanged: {said or 'see above'}")


def _feed(reader: IO[bytes], parts: Iterable[IO[bytes]]) -> None:
    with suppress(BrokenPipeError):  # pg_restore has ended, and its exit code says so
        for part in parts:
            shutil.copyfileobj(part, reader, READ_BYTES)
        reader.close()
