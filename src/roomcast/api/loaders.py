"""Batch loaders: they collect the keys that fields ask for and load the rows in a few statements."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession
from strawberry.dataloader import DataLoader

Key = TypeVar("Key")
Row = TypeVar("Row")

BATCH_SIZE = 500
"""Keys in one statement of a loader. A database accepts some 32,000 parameters, and a key is up to two of them."""

Maybe: TypeAlias = Row | Awaitable[Row]
"""A value, or an awaitable of the value. graphql-core accepts both from a resolver."""

AWAITABLE_TYPES = (CoroutineType, asyncio.Future)
"""The only awaitables that resolvers return."""


def map_maybe(value: Maybe[Row], function: Callable[[Row], Key]) -> Maybe[Key]:
    """Apply the function to the value: at once if it is there, else when it has been awaited."""
    return _map_later(value, function) if isinstance(value, AWAITABLE_TYPES) else function(value)  # type: ignore[arg-type]


async def _map_later(value: Awaitable[Row], function: Callable[[Row], Key]) -> Key:
    return function(await value)


class Loader(DataLoader[Key, Row | None]):
    """A batch loader that returns rows it already has without an awaitable.

    The base class returns a future for every key. One asyncio task for each field of each row of a page would cost
    more than the rest of the request.
    """

    def __init__(self, load_rows: Callable[..., Awaitable[Sequence[Row | None]]]) -> None:
        """`load_rows`: called with a list of keys, and with a session where the rows have to be read from that one."""
        super().__init__(load_rows, max_batch_size=BATCH_SIZE)
        self._load_rows = load_rows
        self._rows: dict[Key, Row | None] = {}

    def load_now(self, key: Key) -> Maybe[Row | None]:
        """The row of this key, or an awaitable of it if it has not been loaded yet."""
        try:
            return self._rows[key]
        except KeyError:
            return self.load(key)

    def load(self, key: Key) -> Awaitable[Row | None]:
        if key not in self._rows:
            return super().load(key)
        loaded: asyncio.Future[Row | None] = self.loop.create_future()
        loaded.set_result(self._rows[key])
        return loaded

    def prime(self, key: Key, value: Row | None, force: bool = False) -> None:
        """Store the row of a key. A row that is already stored is replaced only with `force`."""
        if force or key not in self._rows:
            self._rows[key] = value

    async def prefetch(self, keys: Iterable[Key], *from_session: AsyncSession) -> None:
        """Load the rows of these keys now, before fields ask for them."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._rows]
        for start in range(0, len(missing), BATCH_SIZE):
            batch = missing[start : start + BATCH_SIZE]
            self._rows.update(zip(batch, await self._load_rows(batch, *from_session), strict=True))


class Prefetch(NamedTuple):
    """The keys that fields of these names will ask the loader for."""

    fields: frozenset[str]
    loader: Loader[Any, Any]
    keys: Iterable[Any]
