"""uvicorn's HTTP protocol with limits on header size, header time, unread responses and connections per address."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from roomcast.server.error_responses import error_response
from roomcast.server.http_connections import CONNECTIONS
from roomcast.server.read_chunking import ChunkedReads
from roomcast.server.takeover import Handshake

MAX_HEADER_BYTES = 64 * 1024
"""Request line and headers together."""

HEADER_TIMEOUT_SECONDS = 20.0
"""How long a client may take to send the next request line and headers, and how long it may be idle."""

PROXY_IDLE_SECONDS = 150
"""How long a connection of a trusted proxy may be idle. A request that arrives while the server closes it is lost,
and proxies do not repeat a mutation. So the proxy has to close first: nginx and most load balancers do after 60
seconds, Caddy after 120."""

PROXY_STOP_SECONDS = 1.0
"""How long a stopping server still takes a request on an idle connection of a trusted proxy."""

STALL_TIMEOUT_SECONDS = 60.0
"""How long a client may read nothing of its response."""


class HttpProtocol(ChunkedReads, HttpToolsProtocol):
    CHUNK_BYTES = 4096

    header_timeout, stall_timeout = HEADER_TIMEOUT_SECONDS, STALL_TIMEOUT_SECONDS
    proxy_idle_timeout, proxy_stop_timeout = PROXY_IDLE_SECONDS, PROXY_STOP_SECONDS
    http_connections = CONNECTIONS
    address = ""
    _is_proxy = False
    _is_stopping = False
    _is_counted = False
    _header_bytes = 0
    _is_in_headers = True
    _header_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        key = self.http_connections.address_key(host)
        self.address = key or host
        self._is_proxy = bool(host) and host in getattr(self.app, "trusted_hosts", ())
        if self._is_proxy:
            self.timeout_keep_alive = self.proxy_idle_timeout  # of uvicorn, in place of 5 seconds
        elif host and key is not None:  # a proxy carries all users' connections
            self._is_counted = self.http_connections.admit(self.address)
            if not self._is_counted:
                self._reject(429, "Too many connections from this address.")
        self._start_header_timer(self.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_stall_timer()
        self._stop_counting()
        super().connection_lost(exc)

    def _stop_counting(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self.http_connections.release(self.address)

    # ------------------------------------------------------------------ request headers

    def feed(self, data: bytes) -> None:
        was_in_headers = self._is_in_headers
        super().feed(data)
        if was_in_headers and self._is_in_headers:
            self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._reject(431, f"The headers of a request have at most {MAX_HEADER_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_headers, self._header_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_headers = False
        self._stop_header_timer()
        super().on_headers_complete()
        if self._is_stopping and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        was_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if was_last:
            self._start_header_timer(self.proxy_idle_timeout if self._is_proxy else self.header_timeout)
        if self.unfed:
            self.schedule_feed()

    def _start_header_timer(self, seconds: float) -> None:
        self._stop_header_timer()
        self._header_timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    # ------------------------------------------------------------------ responses

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.stall_timeout, self.transport.abort)
        self.http_connections.on_blocked(self)

    def resume_writing(self) -> None:
        self._stop_stall_timer()
        super().resume_writing()

    @property
    def unread(self) -> int:
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        self.transport.abort()

    def _stop_stall_timer(self) -> None:
        self.http_connections.on_unblocked(self)
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # ------------------------------------------------------------------ reading in chunks

    def can_feed(self) -> bool:
        return not self.pipeline  # `on_response_complete` schedules the next chunk

    def on_all_fed(self) -> None:
        if not self.flow.read_paused:
            self.transport.resume_reading()

    def handle_websocket_upgrade(self) -> None:
        self._stop_counting()  # WebSocket connections have limits of their own
        if not Handshake(self).offer():
            super().handle_websocket_upgrade()
        self.unfed = b""  # a client must not send frames before the handshake is answered
        del self.parser  # breaks the reference cycle between parser and protocol

    # ------------------------------------------------------------------ stopping

    def shutdown(self) -> None:
        """Close the connection after its response. An idle connection of a proxy is closed after one more request, or
        after PROXY_STOP_SECONDS: the proxy may be sending that request now."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if self._is_proxy and is_idle and not self._is_stopping:
            self._is_stopping = True
            self.loop.call_later(self.proxy_stop_timeout, self.shutdown)
        else:
            super().shutdown()

    # ------------------------------------------------------------------ rejections

    def send_400_response(self, msg: str) -> None:
        self._reject(400, msg)

    def _reject(self, status: int, message: str) -> None:
        self.transport.write(error_response(status, message))
        self.transport.close()
