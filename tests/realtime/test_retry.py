"""Retries, and the cases in which there are none."""

import asyncio

import pytest

from roomcast.realtime.retry import retry_until_success


async def test_a_cancelled_step_is_not_retried_when_its_clean_up_fails() -> None:
    tries = 0
    started = asyncio.Event()

    async def ask() -> None:
        nonlocal tries
        tries += 1
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection is gone")

    task = asyncio.create_task(retry_until_success(ask))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert tries == 1


async def test_a_timeout_ends_the_retries_when_the_clean_up_fails() -> None:
    async def ask() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the connection is gone")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await retry_until_success(ask)
