"""Answers to what never became a request, in the words and with the headers of all other answers."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson

from roomcast.api.errors import coded_error
from roomcast.api.execution.engine import error_payload
from roomcast.core.ids import uuid7
from roomcast.web.pages import DATA_POLICY, SECURITY_HEADERS

HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/json",
    **SECURITY_HEADERS,
    "Content-Security-Policy": DATA_POLICY,
}


def body(status: int, message: str) -> bytes:
    code = {403: "FORBIDDEN", 404: "NOT_FOUND", 429: "RATE_LIMITED"}.get(status, "BAD_USER_INPUT")
    return orjson.dumps(error_payload(coded_error(code, message), str(uuid7())))


def raw_response(status: int, message: str) -> bytes:
    """All of it as it goes over the wire, for one who is then hung up on."""
    content = body(status, message)
    headers = {**HEADERS, "Content-Length": str(len(content)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content
