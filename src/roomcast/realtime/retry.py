"""Retries for reads of the log: a database that restarts delays events but loses none."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

Answer = TypeVar("Answer")

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 2.0

DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that are probably defects of the code or the data. Some pass after a few tries; to retry the others for ever
would hide them."""

DEFECT_TRIES = 8
"""Together about five seconds."""

LOG_SECONDS = 60.0
"""The least time between two log entries about failures."""

_logged_at = -LOG_SECONDS

logger = logging.getLogger("roomcast.realtime")


async def retry_until_success(
    step: Callable[[], Awaitable[Answer]], worth: Callable[[Exception], bool] = lambda error: True
) -> Answer:
    """Call `step` until it succeeds, and return its result. Logs the first failure only, at most once a minute.

    Raises an exception at once if it is not `worth` another try, and one of DEFECTS after DEFECT_TRIES tries.
    """
    pause = FIRST_SECONDS
    for attempt in count(1):
        try:
            return await step()
        except Exception as error:  # any failure: the log still holds the events
            raise_if_cancelled()
            if not worth(error) or (attempt >= DEFECT_TRIES and isinstance(error, DEFECTS)):
                raise
            if pause == FIRST_SECONDS and _may_log():
                logger.warning("cannot read the log, trying again: %s", type(error).__name__)
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        pause = min(pause * 2, LONGEST_SECONDS)
    raise AssertionError("unreachable")


def _may_log() -> bool:
    """Whether the last entry is LOG_SECONDS ago: in an outage, thousands of streams fail at once."""
    global _logged_at
    moment = time.monotonic()
    if moment - _logged_at < LOG_SECONDS:
        return False
    _logged_at = moment
    return True


def raise_if_cancelled() -> None:
    """Raise a cancellation of this task that got lost on its way.

    The exception of a failing clean-up takes its place. `wait_for` of Python 3.11, which drivers use, swallows it when
    both end at the same moment.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
