"""The handshake of a connection: `connection_init` and `connection_ack`."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from roomcast.accounts.sessions import Sessions
from roomcast.api import access_tokens
from roomcast.api.timestamps import format_timestamp
from roomcast.api.websocket.protocol import CloseCode
from roomcast.api.websocket.timeouts import Timeouts
from roomcast.core.actor import Actor
from roomcast.core.errors import TokenExpired, Unauthenticated
from roomcast.core.ids import global_id
from roomcast.core.outages import is_outage

logger = logging.getLogger("roomcast.socket")


class HandshakeRejected(Exception):
    """The connection closes with this code and reason instead of being acknowledged."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


async def authenticate(
    sessions: Sessions, headers: Iterable[tuple[bytes, bytes]], payload: Mapping[str, Any]
) -> Actor | None:
    """The viewer of a connection, by the token in `connection_init` or else in the HTTP headers; None is anonymous.

    Raises HandshakeRejected for a token that is expired, invalid or cannot be checked now.
    """
    try:
        token = access_tokens.from_init(payload) or access_tokens.from_headers(headers)
        return await sessions.authenticate(token) if token else None
    except TokenExpired as error:
        raise HandshakeRejected(CloseCode.FORBIDDEN, error.message) from None
    except Unauthenticated as error:
        raise HandshakeRejected(CloseCode.UNAUTHORIZED, error.message) from None
    except Exception as error:
        if not is_outage(error):  # `Database` logs an outage once
            logger.exception("a connection could not be initialised")
        raise HandshakeRejected(CloseCode.TRY_AGAIN_LATER, "Try again later") from None


def ack_payload(viewer: Actor | None, timeouts: Timeouts) -> dict[str, Any]:
    """The payload of `connection_ack`."""
    return {
        "heartbeatMs": round(timeouts.heartbeat * 1000),
        "sessionId": global_id("session", viewer.session_id) if viewer else None,
        "accessTokenExpiresAt": format_timestamp(viewer.token_expires_at) if viewer else None,
    }
