"""The id and the trace of a request, by its headers: who sends them finds them again in the answer and in the log."""

import re
from collections.abc import Iterable
from typing import Any

from roomcast.core.ids import uuid7

Headers = Iterable[tuple[bytes, bytes]]

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
"""Nothing that could break a log line or a header."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""https://www.w3.org/TR/trace-context/#traceparent-header"""


def request_id(headers: Headers) -> str:
    """The `X-Request-Id` of the client or its proxy; a new one where there is none, or one that is not well-formed."""
    sent = next((value for name, value in headers if name == b"x-request-id"), b"")
    return sent.decode() if _REQUEST_ID.fullmatch(sent) else str(uuid7())


def traceparent(headers: Headers) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name == b"traceparent"), None)


def trace_id(sent: Any) -> str | None:
    """The id of the trace in a `traceparent`; None for anything that is not well-formed."""
    found = _TRACEPARENT.fullmatch(sent) if isinstance(sent, str) else None
    return found[1] if found and found[1].strip("0") else None
