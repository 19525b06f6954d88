"""Structured logs, one line for each entry, on standard error: coloured on a terminal, or as JSON."""

import logging
import sys
from contextvars import ContextVar
from typing import Any

import structlog

QUIET = (
    "uvicorn.access",
    "uvicorn.error.websocket",  # its two or three lines for each socket name neither user nor request
    "websockets",
    "asyncio",
    "roomcast.core.engines.WatchedPool",
)

FIELDS = (
    "request_id",
    "trace_id",
    "user_id",
    "address",
    "seconds",
    "operations",
    "events",
    "close_code",
    "close_reason",
)
"""What log entries may have besides their text: keys of `extra`."""

TRACE_ID: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""The id of the trace that the present request belongs to, by its `traceparent`. Tasks that outlive the request inherit
it, so it is read only where an entry is about a request."""


def request_fields(request_id: str) -> dict[str, Any]:
    """`extra` of an entry about a request."""
    trace_id = TRACE_ID.get()
    return {"request_id": request_id} if trace_id is None else {"request_id": request_id, "trace_id": trace_id}


def configure_logs(level: str, *, as_json: bool) -> None:
    """Write all log entries in one format, those of libraries included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(FIELDS),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
