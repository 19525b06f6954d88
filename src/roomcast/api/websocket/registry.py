"""All open WebSocket connections of this process: accepting them, their timeouts, and the end of their sessions."""

import asyncio
import logging
from collections.abc import Collection, Mapping
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
from roomcast.server.extensions import ABORT
from roomcast.server.origins import Origins
from roomcast.server.websocket_protocol import recommended_options

logger = logging.getLogger("roomcast.socket")

SESSION_POLL_SECONDS = 0.5
"""How often this process looks for sessions that another process has ended. Their connections close within a second."""

POLICY_VIOLATION = 1008
"""The WebSocket close code (RFC 6455) for an origin that is not allowed."""

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
        self._engine, self._hub, self._origins, self.admission = engine, hub, origins, admission
        self.timeouts = timeouts or Timeouts()
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

    def close_all(self) -> None:
        """Close all connections with 1012 in random order, spread over `timeouts.closing` at most."""
        self._is_closing = True
        for connection in list(self.connections):
            connection.schedule_stop()

    @property
    def connections(self) -> Collection[Connection]:
        return self.admission.connections

    # ------------------------------------------------------------------ accepting

    async def serve(self, scope: Scope, receive: AsgiCallable, send: AsgiCallable) -> None:
        """Serve one ASGI WebSocket connection until it is closed."""
        await receive()  # websocket.connect
        if ABORT not in scope.get("extensions", {}):
            self._warn_about_server()
        if not self._is_origin_allowed(scope):
            await self._refuse_origin(scope, receive, send)
            return
        subprotocol = _select_subprotocol(scope)
        # A handshake that is rejected tells browsers no reason. So it is accepted, and then closed with a code.
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        services = Services(self._engine, self._hub, self.admission, self.timeouts)
        connection = Connection(services, Transport(scope, receive, send, self.timeouts.stall))
        if subprotocol != protocol.SUBPROTOCOL:
            if subprotocol == LEGACY_SUBPROTOCOL:
                payload = {"message": f"This server speaks {protocol.SUBPROTOCOL}. Use the library graphql-ws."}
                error = protocol.encode_message("connection_error", payload=payload).decode()
                await send({"type": "websocket.send", "text": error})
            await connection.close(
                CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Subprotocol not acceptable: use {protocol.SUBPROTOCOL}"
            )
            return
        await self._run(connection)

    async def _run(self, connection: Connection) -> None:
        """Serve an accepted connection, unless a limit is reached."""
        address = connection.transport.ip_address or ""
        if not self.admission.admit(connection, address):
            await connection.close(CloseCode.TRY_AGAIN_LATER, "Too many connections")
            return
        if self._is_closing:  # a stream over HTTP, on a connection that was open already
            connection.schedule_stop()
        try:
            await connection.run()
        finally:
            self.admission.release(connection, address, connection.viewer, for_good=connection.session_ended)

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
