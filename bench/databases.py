"""New databases, as durable as in production: a commit is answered after it has reached the disk."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from uuid import uuid4

from tests import servers
from tests.faults.cluster import server_pid

KINDS = ("SQLite", "PostgreSQL")

_DURABLE = replace(servers.POSTGRES, command=f"{servers.POSTGRES.command} -c fsync=on -c full_page_writes=on")


class Databases:
    """Creates SQLite databases in one folder, and PostgreSQL databases on one server."""

    def __init__(self, folder: str, postgres: servers.Server) -> None:
        self._folder, self._postgres = folder, postgres

    @property
    def postgres_pid(self) -> int:
        return server_pid(self._postgres)

    @asynccontextmanager
    async def empty(self, kind: str) -> AsyncIterator[str]:
        """The URL of a new database, which is dropped afterwards."""
        name = f"bench_{uuid4().hex}"
        if kind == "SQLite":
            yield f"sqlite:///{self._folder}/{name}.db"
            return
        yield await servers.create_database(self._postgres.url, name)
        await servers.drop_database(self._postgres.url, name)


@contextmanager
def open_databases() -> Iterator[Databases]:
    with TemporaryDirectory() as folder, closing(servers.start(_DURABLE)) as postgres:
        yield Databases(folder, postgres)
