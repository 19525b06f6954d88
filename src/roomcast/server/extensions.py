"""Names of the ASGI scope extensions that our uvicorn protocols offer, shared by the server and the app.

Other ASGI servers offer none of them: the app looks each one up and goes without it where it is absent.
"""

from collections.abc import Mapping
from typing import Any

ABORT = "roomcast.abort"
"""`() -> None`, set by the server. Drops the connection at once. A closing handshake would wait for ever for a client
that reads nothing."""

WRITE = "roomcast.write"
"""`(frames: bytes) -> bool`, set by the server. Writes complete text frames at once; False, with nothing written, where
the peer reads no bytes now. With thousands of subscribers, ASGI's `send` for each of them is half of the cost of a
delivery, and one write for each frame most of the rest. The app sends large frames through `send`."""

DRAINED = "roomcast.drained"
"""`async () -> None`, set by the server. Returns when the peer reads bytes again."""

TAKE_OVER = "roomcast.take_over"
"""`(subprotocol: str) -> AcceptedSocket`, set by the server while it reads a handshake. The app takes the connection
over: this sends the response to the handshake, and the app gives the socket a `MessageHandler` and returns without any
`await` that waits. An app that does not call it is called again with an ASGI connection (`server/takeover.py`)."""

LEAVE = "roomcast.leave"
"""`() -> None`, set by the app. The server calls it when it stops, so that the app can answer what is running. uvicorn
alone would cut the connection off."""

REQUEST_ID = "roomcast.request_id"
"""The id of an HTTP request whose stream runs on an inner connection."""


def extension(scope: Mapping[str, Any], name: str) -> Any:
    """What the server or the app has set under this name; None where it is absent."""
    return scope.get("extensions", {}).get(name)
