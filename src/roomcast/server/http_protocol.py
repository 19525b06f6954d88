"""uvicorn's HTTP protocol for those who are not polite: nothing of theirs is endless, or waited for without end."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomcast.api.http import error_responses
from roomcast.core.rates import counted_address
from roomcast.server.http_connections import CONNECTIONS
from roomcast.server.read_chunking import ChunkedReads

MAX_HEAD_BYTES = 64 * 1024

HEAD_SECONDS = 20.0
"""How long a client may take to say what it wants next: first line and headers."""

STALL_SECONDS = 60.0
"""How long a client may take nothing of its answer."""


class HttpProtocol(ChunkedReads, HttpToolsProtocol):
    SLICE_BYTES = 4096

    head_seconds, stall_seconds = HEAD_SECONDS, STALL_SECONDS
    places = CONNECTIONS
    address = ""
    _has_place = False
    _head_bytes = 0
    _is_in_head = True
    _impatience: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self.address = counted_address(host)
        if host and host not in getattr(self.app, "trusted_hosts", ()):  # a proxy has everybody's connections
            self._take_place()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_waiting()
        self._end_stall()
        self._leave_place()
        super().connection_lost(exc)

    def _take_place(self) -> None:
        self._has_place = self.places.enter(self.address)
        if not self._has_place:
            self._refuse(429, "Too many connections from this address.")

    def _leave_place(self) -> None:
        if self._has_place:
            self._has_place = False
            self.places.leave(self.address)

    # ------------------------------------------------------------------ heads

    def take(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().take(data)
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"The headers of a request have at most {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._end_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if was_last:
            self._await_head()
        if self.rest:
            self.go_on()

    def _await_head(self) -> None:
        self._end_waiting()
        self._impatience = self.loop.call_later(self.head_seconds, self.transport.close)

    def _end_waiting(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    # ------------------------------------------------------------------ answers

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall = self.loop.call_later(self.stall_seconds, self.transport.abort)
        self.places.blocked(self)

    def resume_writing(self) -> None:
        self._end_stall()
        super().resume_writing()

    @property
    def unread(self) -> int:
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        self.transport.abort()

    def _end_stall(self) -> None:
        self.places.unblocked(self)
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    # ------------------------------------------------------------------ turns

    def may_feed(self) -> bool:
        return not self.pipeline

    def caught_up(self) -> None:
        if not self.flow.read_paused:
            self.transport.resume_reading()

    def handle_websocket_upgrade(self) -> None:
        self._leave_place()  # sockets are counted as such
        super().handle_websocket_upgrade()
        self.rest = b""  # nobody may speak before the handshake is answered

    # ------------------------------------------------------------------ refusals

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        self.transport.write(error_responses.raw_response(status, message))
        self.transport.close()
