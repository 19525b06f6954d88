"""Small buffers for simulated runs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast
from unittest.mock import patch

from roomcast.realtime import group, per_viewer_group, topic

SMALL_LIMITS: Mapping[Any, Mapping[str, int]] = {
    topic: {"RING": 8, "EARLY": 6, "PAGE": 5},
    group: {"RING": 8, "BLOCK": 4, "SOCKETS_PER_TURN": 2, "REPLAYS_PER_TURN": 2, "SIGNALS": 3},
    per_viewer_group: {"EXECUTIONS_PER_TURN": 2, "MAX_EXECUTIONS": 8},
}
"""Buffers that a few events overflow: what takes thousands of events in production happens here in each run."""


@contextmanager
def small_limits() -> Iterator[None]:
    with ExitStack() as stack:
        for module, limits in SMALL_LIMITS.items():
            stack.enter_context(patch.multiple(module, **cast("Any", limits)))
        yield
