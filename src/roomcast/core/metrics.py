"""Prometheus metrics that are counted where things happen: GraphQL operations, and what the database does for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class DatabaseCounts:
    """What this process has asked of its database. A statement for many rows is one statement."""

    statements: int = 0
    reads: int = 0
    changes: int = 0
    """`reads` and `changes` are transactions."""


DATABASE = DatabaseCounts()

COMMIT_SECONDS = Histogram(
    "roomcast_db_commit_seconds", "How long the database took to commit.", registry=None, buckets=SECONDS
)


@dataclass(slots=True)
class Outcome:
    """`code`: OK, or the code of the first error, be it top-level or in the payload of a mutation."""

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
