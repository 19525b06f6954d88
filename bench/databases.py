"""Databases under test: each new, and durable as an operator's is. An answered commit has reached the disk."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from uuid import uuid4

from tests import servers

KINDS = ("SQLite", "PostgreSQL")

_DURABLE = replace(servers.POSTGRES, command=f"{servers.POSTGRES.command} -c fsync=on -c full_page_writes=on")


class Databases:
    """Gives empty databases of both kinds: files in one folder, and all in one PostgreSQL."""

    def __init__(self, folder: str, postgres: servers.Server) -> None:
        self._folder, self._postgres = folder, postgres

    @asynccontextmanager
    async def empty(self, kind: str) -> AsyncIterator[str]:
        """The address of one of this kind, gone afterwards."""
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
