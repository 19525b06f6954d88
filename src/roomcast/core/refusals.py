"""Counts what limits refuse: in a metric, and in at most one log line a minute for each limit."""

import logging
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter

logger = logging.getLogger("roomcast.limits")

LOG_SECONDS = 60.0
"""After a line about a limit, further refusals by it are only counted for so long."""


class Refusals:
    """What this process has refused. `limits`: the names of all limits: those of their settings, in lower case.

    All of them are in the metric from the start. Otherwise a rate would not show the first refusals.
    """

    def __init__(
        self,
        limits: Iterable[str] = (),
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counter = Counter(
            "roomcast_refusals", "Requests, connections and files refused, by limit.", ("limit",), registry=registry
        )
        for limit in limits:
            self._counter.labels(limit)
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self._not_logged: dict[str, int] = {}

    def count(self, limit: str, caller: object) -> None:
        """Count one refusal. `caller`: the address or the id of the user, for the log. Never what somebody typed."""
        self._counter.labels(limit).inc()
        moment = self._clock()
        if moment < self._quiet_until.get(limit, moment):
            self._not_logged[limit] = self._not_logged.get(limit, 0) + 1
            return
        self._quiet_until[limit] = moment + LOG_SECONDS
        more = self._not_logged.pop(limit, 0)
        since = f"; {more} more since the last line about it" if more else ""
        logger.warning("ROOMCAST_%s is reached: refused %s%s", limit.upper(), caller or "an unknown address", since)
