"""Prometheus metrics of GraphQL operations: how many end with which outcome, and how long they take."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Outcome:
    """`code`: OK, or the code of the first top-level error. A mutation that returns payload errors counts as OK."""

    code: str = "OK"


class OperationMetrics:
    """The metrics of one process. `kind` is query, mutation, subscription (the time until it starts), or unread for
    requests that were refused before their kind was known."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter("roomcast_operations", "Operations by outcome.", ("kind", "outcome"), registry=registry)
        self._seconds = Histogram(
            "roomcast_operation_seconds", "How long they took.", ("kind",), registry=registry, buckets=SECONDS
        )

    @contextmanager
    def timed(self, kind: str) -> Iterator[Outcome]:
        """Count and time the block. An exception is counted under its `code` and raised again."""
        outcome, begun = Outcome(), perf_counter()
        try:
            yield outcome
        except Exception as error:
            outcome.code = _code(error)
            raise
        finally:
            self._ended.labels(kind, outcome.code).inc()
            self._seconds.labels(kind).observe(perf_counter() - begun)

    @contextmanager
    def failures(self, kind: str) -> Iterator[None]:
        """Count an unexpected exception of the block, which comes before the operation itself, as INTERNAL."""
        try:
            yield
        except Exception as error:
            if _code(error) == "INTERNAL":
                self._ended.labels(kind, "INTERNAL").inc()
            raise

    def refused(self, code: str) -> None:
        """Count a request that was refused before it was read."""
        self._ended.labels("unread", code).inc()


def _code(error: Exception) -> str:
    """The code of our own exceptions. SQLAlchemy's have a `code` too, in lower case."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code.isupper() else "INTERNAL"
