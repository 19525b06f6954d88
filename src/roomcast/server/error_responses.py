"""Error responses for requests that never reach a GraphQL or file handler.

Their JSON and headers are those of every other error response, so clients need no second way to read them.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import orjson

from roomcast.web.pages import DATA_POLICY, SECURITY_HEADERS

HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/json",
    **SECURITY_HEADERS,
    "Content-Security-Policy": DATA_POLICY,
}

CODES: Final[Mapping[int, str]] = {403: "FORBIDDEN", 404: "NOT_FOUND", 429: "RATE_LIMITED"}
"""Error code by HTTP status. Every other status is BAD_USER_INPUT."""


def error_body(status: int, message: str) -> bytes:
    """The JSON body: one error with its message, code, request id and whether the client may retry."""
    extensions = {
        "requestId": str(uuid4()),
        "retryable": status == 429,
        "code": CODES.get(status, "BAD_USER_INPUT"),
    }
    return orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})


def error_response(status: int, message: str) -> bytes:
    """The whole HTTP/1.1 response as bytes. It announces that the connection closes, which the caller then does."""
    body = error_body(status, message)
    headers = {**HEADERS, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
