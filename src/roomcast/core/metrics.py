"""What operations come to and how long they take, counted for whoever watches the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Outcome:
    """`code`: OK, or that of the first error at the top level. What a mutation refuses is OK: it was answered."""

    code: str = "OK"


class OperationMetrics:
    """One process's count. `kind` is query, mutation, subscription (until it begins), or unread: what was refused
    before it was known what it is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter("roomcast_operations", "Operations by outcome.", ("kind", "outcome"), registry=registry)
        self._seconds = Histogram(
            "roomcast_operation_seconds", "How long they took.", ("kind",), registry=registry, buckets=SECONDS
        )

    @contextmanager
    def timed(self, kind: str) -> Iterator[Outcome]:
        """Count what happens inside; an exception counts under its `code`, and is raised on."""
        outcome, begun = Outcome(), perf_counter()
        try:
            yield outcome
        except Exception as error:
            outcome.code = getattr(error, "code", "INTERNAL")
            raise
        finally:
            self._ended.labels(kind, outcome.code).inc()
            self._seconds.labels(kind).observe(perf_counter() - begun)

    def refused(self, code: str) -> None:
        """Something was turned away unread."""
        self._ended.labels("unread", code).inc()
