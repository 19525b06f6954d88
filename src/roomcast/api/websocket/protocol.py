"""graphql-transport-ws messages: which ones are well-formed, and which close code answers the others.

The rules are those of PROTOCOL.md in enisdenjo/graphql-ws; the codes are chosen by what its client does with them.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from roomcast.api.execution.decoding import decode_json
from roomcast.api.execution.requests import InvalidRequest, parse_request

SUBPROTOCOL = "graphql-transport-ws"
MAX_ID = 128
"""Characters of an operation's id."""

MAX_PING = 1024
"""Characters of a ping or pong: its payload is sent back."""


class CloseCode(IntEnum):
    """Clients retry 1012, 1013, 4403 and 4408, and give up on the others."""

    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    TIMEOUT = 4408
    SUBSCRIBER_ALREADY_EXISTS = 4409
    TOO_MANY_INITIALISATION_REQUESTS = 4429


class Malformed(Exception):
    """The message breaks the protocol; the socket closes with 4400."""


class Message(NamedTuple):
    type: str
    id: str
    payload: dict[str, Any]


def read(text: str | None) -> Message:
    """A frame as a message. Raises Malformed; binary frames are given as None."""
    if text is None:
        raise Malformed("Messages are text frames")
    try:
        found = decode_json(text)
    except ValueError:
        raise Malformed("Messages are JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise Malformed("A message is an object with a type")
    if found["type"] in ("ping", "pong") and len(text) > MAX_PING:
        raise Malformed(f"A {found['type']} has at most {MAX_PING} characters")
    return _checked(found)


def _checked(found: dict[str, Any]) -> Message:
    kind = found["type"]
    if kind in ("connection_init", "ping", "pong"):
        return Message(kind, "", _object(found, "payload"))
    if kind not in ("subscribe", "complete"):
        raise Malformed("Unknown message type")
    id_ = found.get("id")
    if not isinstance(id_, str) or not 1 <= len(id_) <= MAX_ID:
        raise Malformed(f"An id is a string of 1 to {MAX_ID} characters")
    return Message(kind, id_, _operation(found) if kind == "subscribe" else {})


def _operation(found: dict[str, Any]) -> dict[str, Any]:
    payload = found.get("payload")
    if not isinstance(payload, dict):
        raise Malformed("A subscribe payload is an object")
    try:
        parse_request(payload)
    except InvalidRequest as error:
        raise Malformed(str(error)) from None
    return payload


def _object(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    if value is not None and not isinstance(value, dict):
        raise Malformed(f"{name} is an object or null")
    return value or {}


def write(kind: str, id_: str | None = None, payload: Any = None) -> bytes:
    message = {"type": kind}
    if id_ is not None:
        message["id"] = id_
    if payload is not None:
        message["payload"] = payload
    return orjson.dumps(message)


def head(kind: str, id_: str) -> bytes:
    """A message without its end: what comes last, a payload or nothing, is added as bytes."""
    return b'{"id":' + orjson.dumps(id_) + b',"type":"' + kind.encode() + b'"'


def short(reason: str) -> str:
    """A close reason that fits its frame: 123 bytes (RFC 6455)."""
    encoded = reason.encode()
    return reason if len(encoded) <= 123 else encoded[:120].decode(errors="ignore")
