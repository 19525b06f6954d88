"""Trying again: a database that restarts must cost time, never an event."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

Answer = TypeVar("Answer")

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 2.0

DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of a program or of its data. Some pass, a few more tries later; waiting for ever would hide the others."""

DEFECT_TRIES = 8
"""Some seconds."""

logger = logging.getLogger("roomcast.realtime")


async def retry_until_success(
    step: Callable[[], Awaitable[Answer]], worth: Callable[[Exception], bool] = lambda error: True
) -> Answer:
    """The step's answer, however often it had to be asked. Says once that it does not answer, not each time.

    Raises what is not `worth` another try, and one of DEFECTS after DEFECT_TRIES.
    """
    pause = FIRST_SECONDS
    for attempt in count(1):
        try:
            return await step()
        except Exception as error:  # whatever it is, the log is still the truth and will be read
            _raise_if_cancelled()
            if not worth(error) or (attempt >= DEFECT_TRIES and isinstance(error, DEFECTS)):
                raise
            if pause == FIRST_SECONDS:
                logger.warning("the log cannot be read, trying again: %s", type(error).__name__)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        pause = min(pause * 2, LONGEST_SECONDS)
    raise AssertionError("unreachable")


def _raise_if_cancelled() -> None:
    """Clean-up that fails while a cancellation passes through it puts its own exception in the place of that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
