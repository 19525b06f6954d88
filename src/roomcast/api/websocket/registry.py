"""Every open socket of this process: who may open one, and what happens to all of them together."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from uuid import UUID

from starlette.types import Scope

from roomcast.accounts.policy import SessionEndReason
from roomcast.api.execution.engine import Engine
from roomcast.api.websocket import protocol, timeouts
from roomcast.api.websocket.admission import Admission, ConnectionLimits
from roomcast.api.websocket.connection import Connection
from roomcast.api.websocket.protocol import CloseCode
from roomcast.api.websocket.timeouts import Asgi, Timeouts
from roomcast.realtime.hub import Hub
from roomcast.server.websocket_protocol import ABORT, advice

log = logging.getLogger("roomcast.socket")


LOOK_SECONDS = 0.5
"""How often sessions are looked for that another process has ended. Their sockets close within a second."""


class ConnectionRegistry:
    """`origins`: web origins besides our own that may connect; a client that names none is no browser."""

    def __init__(self, engine: Engine, hub: Hub, origins: Collection[str], places: ConnectionLimits) -> None:
        self._engine, self._hub, self._origins = engine, hub, frozenset(origins)
        self.admission: Admission[Connection] = Admission(places, engine.backend.presence)
        self.timeouts = Timeouts()
        self._sessions = engine.backend.sessions
        self._tasks: list[asyncio.Task[None]] = []
        self._has_advised = False

    async def start(self) -> None:
        self._sessions.add_listener(self._end_sessions)
        self._tasks = [
            asyncio.create_task(self._tick(), name="sockets tick"),
            asyncio.create_task(self._look(), name="sockets look"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, scope: Scope, receive: Asgi, send: Asgi) -> None:
        await receive()  # websocket.connect
        if ABORT not in scope.get("extensions", {}) and not self._has_advised:
            self._has_advised = True
            log.warning("this server can abort no dead peer; `roomcast serve` gives uvicorn %s", advice())
        if not self._is_welcome(scope):
            await send({"type": "websocket.close", "code": 1008, "reason": "Origin not allowed"})
            return
        spoken = protocol.SUBPROTOCOL in scope.get("subprotocols", ())
        await send({"type": "websocket.accept", "subprotocol": protocol.SUBPROTOCOL if spoken else None})
        socket = Connection(self._engine, self._hub, self.admission, self.timeouts, (scope, receive, send))
        if not spoken:
            await socket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            return
        address = timeouts.address(scope) or ""
        if not self.admission.enter(socket, address):
            await socket.close(CloseCode.TRY_AGAIN_LATER, "Too many connections")
            return
        try:
            await socket.run()
        finally:
            self.admission.leave(socket, address, socket.viewer, for_good=socket.is_over)

    @property
    def open(self) -> Collection[Connection]:
        return self.admission.sockets

    def _is_welcome(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or origin in self._origins:
            return True
        own: str = headers.get(b"host", b"").decode("latin-1")
        return bool(origin.split("://", 1)[-1] == own)

    async def _tick(self) -> None:
        beat = 0
        while True:
            await asyncio.sleep(self.timeouts.tick)
            beat += 1
            self._tick_all(beat)

    def _tick_all(self, beat: int) -> None:
        beats = max(1, round(self.timeouts.heartbeat / self.timeouts.tick))
        for socket in list(self.open):
            # Spread over the interval, so that ten thousand pings do not leave in one moment.
            self._tick_one(socket, heartbeat=(id(socket) >> 6) % beats == beat % beats)

    def _tick_one(self, socket: Connection, *, heartbeat: bool) -> None:
        try:
            socket.tick(heartbeat=heartbeat)
        except Exception:  # one socket's trouble is not the others'
            log.exception("a socket could not be ticked")

    # ------------------------------------------------------------------ sessions that end

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self.open:
                continue
            try:
                await self._sessions.poll()
            except Exception as error:  # the next look sees what this one has missed
                log.warning("ended sessions cannot be looked for: %s", type(error).__name__)

    def _end_sessions(self, ended: Mapping[UUID, SessionEndReason]) -> None:
        for session_id, why in ended.items():
            for socket in self.admission.of_session(session_id):
                socket.end_session(session_id, why)
