"""Waiters for a row do not depend on each other, and nothing is read after the end of an operation."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from roomcast.api.loaders import Loader, Mapped, Together, map_maybe
from roomcast.core.db import Database, Snapshot
from tests.running_app import RunningApp


@asynccontextmanager
async def no_session() -> AsyncIterator[Any]:
    yield None


def loader(rows: Callable[[Collection[int]], Mapping[int, str]]) -> Loader[int, str]:
    async def query(_session: object, keys: Collection[int]) -> Mapping[int, str]:
        return rows(keys)

    return Loader(query, no_session)


async def test_a_cancelled_waiter_leaves_the_row_to_the_others() -> None:
    loading = loader(lambda keys: {key: str(key) for key in keys})
    first, second = loading.load(1), map_maybe(loading.load_now(1), lambda row: f"mapped {row}")
    waiting = asyncio.ensure_future(first)
    waiting.cancel()
    assert await second == "mapped 1"  # type: ignore[misc]
    assert waiting.cancelled()
    assert loading.load_now(1) == "1"


async def test_every_waiter_gets_the_error(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_keys: object) -> Mapping[int, str]:
        raise LookupError("no rows")

    loading = loader(fail)
    gone, *others = [loading.load(1) for _ in range(3)]
    asyncio.ensure_future(gone).cancel()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [str(each) for each in results] == ["no rows", "no rows"]
    assert caplog.text == ""


async def test_rows_that_nobody_awaits_any_more_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_keys: object) -> Mapping[int, str]:
        raise LookupError("no rows")

    numbers, failing = loader(lambda keys: {key: str(key) for key in keys}), loader(fail)
    assert await Mapped(Together([numbers.load(1), numbers.load(2)]), "".join) == "12"
    assert Together([numbers.load(3), failing.load(3)]).cancel()
    with pytest.raises(LookupError):
        await Together([failing.load(1), failing.load(2)])
    gc.collect()
    assert caplog.text == ""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_read_after_the_end_of_an_operation(app: RunningApp) -> None:
    database: Database = app.roomcast.db
    snapshot = Snapshot(database)
    async with snapshot.session():
        pass
    await snapshot.end()
    with pytest.raises(RuntimeError):
        async with snapshot.session():
            pass
