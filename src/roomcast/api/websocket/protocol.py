"""Messages and close codes of graphql-transport-ws: parsing, validation and encoding.

The rules are those of PROTOCOL.md in enisdenjo/graphql-ws. Close codes are chosen by how its client reacts to them.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import orjson

from roomcast.api.execution.decoding import decode_json
from roomcast.api.execution.requests import InvalidRequest, parse_request

SUBPROTOCOL = "graphql-transport-ws"
MAX_ID = 128
"""Characters of an operation id."""

MAX_PING = 1024
"""Characters of a ping or pong message, because a ping's payload is sent back."""


class CloseCode(IntEnum):
    """graphql-ws clients reconnect after 1012, 1013, 4403 and 4408, and not after the others."""

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
    """The message breaks the protocol; the connection closes with 4400."""


class Message(NamedTuple):
    type: str
    id: str
    payload: dict[str, Any]


def parse_message(text: str | None) -> Message:
    """Parse and validate a text frame; None stands for a binary frame. Raises Malformed."""
    if text is None:
        raise Malformed("Messages are text frames")
    try:
        message = decode_json(text)
    except ValueError:
        raise Malformed("Messages are JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Malformed("A message is an object with a type")
    if message["type"] in ("ping", "pong") and len(text) > MAX_PING:
        raise Malformed(f"A {message['type']} has at most {MAX_PING} characters")
    kind = message["type"]
    if kind in ("connection_init", "ping", "pong"):
        return Message(kind, "", _object_or_empty(message, "payload"))
    if kind not in ("subscribe", "complete"):
        raise Malformed("Unknown message type")
    id_ = message.get("id")
    if not isinstance(id_, str) or not 1 <= len(id_) <= MAX_ID:
        raise Malformed(f"An id is a string of 1 to {MAX_ID} characters")
    return Message(kind, id_, _subscribe_payload(message) if kind == "subscribe" else {})


def _subscribe_payload(message: dict[str, Any]) -> dict[str, Any]:
    payload = message.get("payload")
    if not isinstance(payload, dict):
        raise Malformed("A subscribe payload is an object")
    try:
        parse_request(payload)
    except InvalidRequest as error:
        raise Malformed(str(error)) from None
    return payload


def _object_or_empty(message: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if value is not None and not isinstance(value, dict):
        raise Malformed(f"{name} is an object or null")
    return value or {}


def encode_message(kind: str, id_: str | None = None, payload: Any = None) -> bytes:
    message = {"type": kind}
    if id_ is not None:
        message["id"] = id_
    if payload is not None:
        message["payload"] = payload
    return orjson.dumps(message)


def encode_head(kind: str, id_: str) -> bytes:
    """The beginning of a message as bytes. The caller adds `,"payload":…` or nothing, and the closing brace."""
    return b'{"id":' + orjson.dumps(id_) + b',"type":"' + kind.encode() + b'"'


def truncate_reason(reason: str) -> str:
    """The reason, cut to the 123 bytes that a close frame holds (RFC 6455)."""
    encoded = reason.encode()
    return reason if len(encoded) <= 123 else encoded[:120].decode(errors="ignore")
