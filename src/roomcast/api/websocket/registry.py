"""All open WebSocket connections of this process: accepting them, their timeouts, and the end of their sessions."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from uuid import UUID

from starlette.responses import Response
from starlette.types import Scope

from roomcast.accounts.policy import SessionEndReason
from roomcast.api.execution.engine import Engine
from roomcast.api.websocket import protocol
from roomcast.api.websocket.admission import Admission
from roomcast.api.websocket.connection import Connection
from roomcast.api.websocket.protocol import CloseCode
from roomcast.api.websocket.runner import Services
from roomcast.api.websocket.timeouts import Timeouts
from roomcast.api.websocket.transport import AsgiCallable, Transport
from roomcast.core.outages import is_outage
from roomcast.realtime.hub import Hub
from roomcast.server import error_responses
from roomcast.server.accepted_socket import AcceptedSocket
from roomcast.server.extensions import ABORT, LEAVE, TAKE_OVER, extension
from roomcast.server.origins import Origins
from roomcast.server.websocket_protocol import recommended_options

logger = logging.getLogger("roomcast.socket")

SESSION_POLL_SECONDS = 0.5
"""How often this process looks for sessions that another process has ended. Their connections close within a second."""

POLICY_VIOLATION = 1008
"""The WebSocket close code (RFC 6455) for an origin that is not allowed."""

TOO_MANY_CONNECTIONS = "Too many connections"

LEGACY_SUBPROTOCOL = "graphql-ws"
"""The subprotocol of subscriptions-transport-ws. Confusingly, the library graphql-ws speaks graphql-transport-ws."""


class ConnectionRegistry:
    """`origins`: web origins, besides the server's own, that may connect. A client without an Origin header is no
    browser and always may."""

    def __init__(
        self,
        engine: Engine,
        hub: Hub,
        origins: Origins,
        admission: Admission[Connection],
        timeouts: Timeouts | None = None,
    ) -> None:
        self._engine, self._origins, self.admission = engine, origins, admission
        self._services = Services(engine, hub, admission, timeouts or Timeouts())
        self._sessions = engine.backend.sessions
        self._tasks: list[asyncio.Task[None]] = []
        self._has_warned = self._is_closing = False

    async def start(self) -> None:
        self._sessions.add_listener(self._end_sessions)
        self._tasks = [
            asyncio.create_task(self._check_timeouts(), name="connection timeouts"),
            asyncio.create_task(self._poll_sessions(), name="connection sessions"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.ended()

    def close_all(self) -> None:
        """Close all connections with 1012 in random order, spread over `timeouts.closing` at most."""
        self._is_closing = True
        for connection in list(self.connections):
            connection.schedule_stop()

    @property
    def timeouts(self) -> Timeouts:
        return self._services.timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts) -> None:
        """For connections that are accepted from now on."""
        self._services = self._services._replace(timeouts=timeouts)

    @property
    def connections(self) -> Collection[Connection]:
        return self.admission.connections

    # ------------------------------------------------------------------ accepting

    async def serve(self, scope: Scope, receive: AsgiCallable, send: AsgiCallable) -> None:
        """Serve one ASGI WebSocket connection until it is closed, or take it over from our own server."""
        subprotocol = _select_subprotocol(scope)
        take_over: Callable[[str], AcceptedSocket] | None = extension(scope, TAKE_OVER)
        if take_over and subprotocol == protocol.SUBPROTOCOL and self._is_origin_allowed(scope):
            self._serve_socket(scope, send, take_over(subprotocol))
            return
        await receive()  # websocket.connect
        if extension(scope, ABORT) is None:
            self._warn_about_server()
        if not self._is_origin_allowed(scope):
            await self._refuse_origin(scope, receive, send)
            return
        # A handshake that is rejected tells browsers no reason. So it is accepted, and then closed with a code.
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        connection = Connection(self._services, Transport(scope, send, self.timeouts.stall))
        if subprotocol != protocol.SUBPROTOCOL:
            if subprotocol == LEGACY_SUBPROTOCOL:
                payload = {"message": f"This server speaks {protocol.SUBPROTOCOL}. Use the library graphql-ws."}
                error = protocol.encode_message("connection_error", payload=payload).decode()
                await send({"type": "websocket.send", "text": error})
            await connection.close(
                CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Subprotocol not acceptable: use {protocol.SUBPROTOCOL}"
            )
        elif self._admit(connection):
            scope.setdefault("extensions", {})[LEAVE] = connection.schedule_stop
            await connection.run(receive)
        else:
            await connection.close(CloseCode.TRY_AGAIN_LATER, TOO_MANY_CONNECTIONS)

    def _serve_socket(self, scope: Scope, send: AsgiCallable, socket: AcceptedSocket) -> None:
        connection = Connection(self._services, Transport(scope, send, self.timeouts.stall, socket))
        if self._admit(connection):
            socket.handler = connection
        else:
            connection.close_soon(CloseCode.TRY_AGAIN_LATER, TOO_MANY_CONNECTIONS)

    def _admit(self, connection: Connection) -> bool:
        """Whether the limits allow one more connection. It releases its place when it ends."""
        if not self.admission.admit(connection, connection.transport.ip_address or ""):
            return False
        if self._is_closing:  # on a TCP connection that was open already
            connection.schedule_stop()
        return True

    def _warn_about_server(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "this server cannot disconnect clients that stop reading: use `roomcast serve`, or run uvicorn with %s",
                recommended_options(),
            )

    def _is_origin_allowed(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or self._origins.is_allowed(origin):
            return True
        host: str = headers.get(b"host", b"").decode("latin-1")
        return bool(origin.split("://", 1)[-1] == host)

    async def _refuse_origin(self, scope: Scope, receive: AsgiCallable, send: AsgiCallable) -> None:
        message = self._origins.refusal(dict(scope["headers"])[b"origin"].decode("latin-1"))
        if "websocket.http.response" in scope.get("extensions", {}):
            body = error_responses.error_body(403, message)
            await Response(body, 403, dict(error_responses.HEADERS))(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": message})

    # ------------------------------------------------------------------ timeouts and heartbeats

    async def _check_timeouts(self) -> None:
        tick = 0
        while True:
            await asyncio.sleep(self.timeouts.tick)
            tick += 1
            self._tick_all(tick)

    def _tick_all(self, tick: int) -> None:
        # Not in the loop above: its variable would keep the last connection alive until the next tick.
        ticks_per_heartbeat = max(1, round(self.timeouts.heartbeat / self.timeouts.tick))
        for connection in list(self.connections):
            # Spread over the interval, so that ten thousand pings are not sent at one moment.
            slot = (id(connection) >> 6) % ticks_per_heartbeat
            try:
                connection.on_tick(heartbeat=slot == tick % ticks_per_heartbeat)
            except Exception:  # a failure on one connection must not stop the checks of the others
                logger.exception("the timeouts of a connection could not be checked")

    # ------------------------------------------------------------------ sessions that end

    async def _poll_sessions(self) -> None:
        while True:
            await asyncio.sleep(SESSION_POLL_SECONDS)
            if not self.connections:
                continue
            try:
                await self._sessions.poll()
            except Exception as error:  # the next poll finds what this one has missed
                if is_outage(error):
                    self._engine.backend.db.outages.on_error(error)
                else:
                    logger.exception("ended sessions cannot be read from the database")

    def _end_sessions(self, ended: Mapping[UUID, SessionEndReason]) -> None:
        for session_id, reason in ended.items():
            for connection in self.admission.connections_of_session(session_id):
                connection.end_session(session_id, reason)


def _select_subprotocol(scope: Scope) -> str | None:
    """Ours, or the legacy one, which is closed at once: browsers show a close code only where the server has selected
    a subprotocol that the page offered."""
    offered = scope.get("subprotocols", ())
    return next((name for name in (protocol.SUBPROTOCOL, LEGACY_SUBPROTOCOL) if name in offered), None)
