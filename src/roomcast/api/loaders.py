"""Batch loaders: they collect the keys that fields ask for and load the rows in a few statements."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import islice
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from sqlmodel.ext.asyncio.session import AsyncSession
from strawberry.dataloader import DataLoader

from roomcast.core.direct_queries import read_together
from roomcast.core.keyed_reads import KeyedRead

Key = TypeVar("Key")
Row = TypeVar("Row")

BATCH_SIZE = 500
"""Keys in one statement of a loader. A database accepts some 32,000 parameters, and a key is up to two of them."""

Maybe: TypeAlias = Row | Awaitable[Row]
"""A value, or an awaitable of the value. graphql-core accepts both from a resolver."""


class Mapped:
    """An awaitable of what the function makes of an awaited value. It needs no task, and may be left unawaited."""

    __slots__ = ("_function", "_value")

    def __init__(self, value: Any, function: Callable[[Any], Any]) -> None:
        self._value, self._function = value, function

    def __await__(self) -> Generator[Any, None, Any]:
        return self._function((yield from self._value.__await__()))

    def cancel(self) -> bool:
        """End waiting for the value, as for a future."""
        return bool(self._value.cancel())


class Together:
    """An awaitable of several futures of rows. It needs no task, and may be left unawaited: Python would log an
    `asyncio.gather` that is cancelled and that nobody awaits."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def __await__(self) -> Generator[Any, None, list[Any]]:
        found = []
        try:
            for row in self._rows:
                found.append((yield from row.__await__()))
        finally:
            self.cancel()
        return found

    def cancel(self) -> bool:
        """End waiting for the rows, as for a future."""
        for row in self._rows:
            if not row.cancel() and not row.cancelled():
                row.exception()  # Python logs errors that nobody has asked for
        return any(row.cancelled() for row in self._rows)


AWAITABLE_TYPES = (CoroutineType, asyncio.Future, Mapped)
"""The only awaitables that resolvers return."""


def map_maybe(value: Maybe[Row], function: Callable[[Row], Key]) -> Maybe[Key]:
    """Apply the function to the value of a loader: at once if it is there, else when it has been awaited."""
    return Mapped(value, function) if isinstance(value, AWAITABLE_TYPES) else function(value)  # type: ignore[arg-type]


Query: TypeAlias = KeyedRead[Key, Row] | Callable[[AsyncSession, Collection[Key]], Awaitable[Mapping[Key, Row]]]
"""Reads the values of some keys."""

OpenSession: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""The session that a loader reads in, for one block."""


class Loader(DataLoader[Key, Row | None]):
    """A batch loader that returns rows it already has without an awaitable.

    The base class returns a future for every key. One asyncio task for each field of each row of a page would cost
    more than the rest of the request.
    """

    def __init__(self, query: Query[Key, Row], session: OpenSession) -> None:
        super().__init__(self._load, max_batch_size=BATCH_SIZE)
        self.query, self._session = query, session
        self._rows: dict[Key, Row | None] = {}

    def load_now(self, key: Key) -> Maybe[Row | None]:
        """The row of this key, or an awaitable of it if it has not been loaded yet."""
        try:
            return self._rows[key]
        except KeyError:
            return self.load(key)

    def load(self, key: Key) -> Awaitable[Row | None]:
        if key not in self._rows:
            return _share(cast("asyncio.Future[Row | None]", super().load(key)))
        loaded: asyncio.Future[Row | None] = self.loop.create_future()
        loaded.set_result(self._rows[key])
        return loaded

    def prime(self, key: Key, value: Row | None, force: bool = False) -> None:
        """Store the row of a key. A row that is already stored is replaced only with `force`."""
        if force or key not in self._rows:
            self._rows[key] = value

    @property
    def loaded_keys(self) -> Collection[Key]:
        return self._rows.keys()

    def missing(self, keys: Iterable[Key]) -> Collection[Key]:
        """Those of the keys whose rows are not loaded yet, each once."""
        wanted = dict.fromkeys(keys)
        return [key for key in wanted if key not in self._rows] if self._rows else wanted

    def loaded(self, keys: Iterable[Key]) -> list[Row]:
        """The rows of those of the keys that have been loaded and exist."""
        return [row for key in keys if (row := self._rows.get(key)) is not None]

    def store(self, keys: Collection[Key], found: Mapping[Key, Row]) -> None:
        """Store what a read has found for these keys."""
        if len(found) < len(keys):
            self._rows.update(dict.fromkeys(keys))
        self._rows.update(found)  # dictionaries copy hashes, and hashing a UUID costs more than the rest

    async def prefetch(self, keys: Iterable[Key]) -> None:
        """Load the rows of these keys now, before fields ask for them."""
        if missing := self.missing(keys):
            async with self._session() as session:
                await load_together(session, {self: missing})

    async def _load(self, keys: list[Key]) -> Sequence[Row | None]:
        async with self._session() as session:
            self.store(keys, await self.query(session, keys))
        return [self._rows[key] for key in keys]


async def load_together(session: AsyncSession, wanted: Mapping[Loader[Any, Any], Collection[Any]]) -> None:
    """Load the rows of these keys of several loaders, as far as possible in one trip to the database."""
    batches = [
        (loader, list(islice(keys, start, start + BATCH_SIZE)) if len(keys) > BATCH_SIZE else keys)
        for loader, keys in wanted.items()
        for start in range(0, len(keys), BATCH_SIZE)
    ]
    direct = [(loader, keys, loader.query.of(keys)) for loader, keys in batches if isinstance(loader.query, KeyedRead)]
    results = await read_together(session, *(read for _, _, read in direct))
    for (loader, keys, _), found in zip(direct, results, strict=True):
        loader.store(keys, found)
    for loader, keys in batches:
        if not isinstance(loader.query, KeyedRead):
            loader.store(keys, await loader.query(session, keys))


def _share(row: asyncio.Future[Row]) -> asyncio.Future[Row]:
    """A future of one waiter, who may be cancelled without cancelling the row for the others.

    `asyncio.shield` takes twice the time: a tenth of what rendering a viewer field takes.
    """
    own: asyncio.Future[Row] = row.get_loop().create_future()
    row.add_done_callback(partial(_pass_on, own))
    return own


def _pass_on(own: asyncio.Future[Row], row: asyncio.Future[Row]) -> None:
    if row.cancelled():
        own.cancel()
        return
    error = row.exception()  # Python logs errors that nobody has asked for, and the waiter may be gone
    if own.done():
        return
    if error is not None:
        own.set_exception(error)
    else:
        own.set_result(row.result())


class Prefetch(NamedTuple):
    """The keys that fields of these names will ask the loader for."""

    fields: frozenset[str]
    loader: Loader[Any, Any]
    keys: Iterable[Any]
