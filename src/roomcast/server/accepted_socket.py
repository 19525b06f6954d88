"""A WebSocket after its handshake, as an `asyncio.Protocol` of its own.

uvicorn's protocol, with the task, queue and scope that ASGI needs, holds 20 KiB for each idle socket. An app that takes
the connection over (`takeover.py`) gets this object instead, which calls the app for each message. It and its frame
parser hold 3 KiB. The parser is the sans-I/O protocol of the library websockets, as in uvicorn. The limits are those of
`WebSocketProtocol`.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.typing import BytesLike

from roomcast.server.read_chunking import ChunkedReads

logger = logging.getLogger("uvicorn.error")

CLOSE_SECONDS = 10.0
"""How long a client may take to answer a close frame, as in uvicorn."""

STOP_CLOSE_SECONDS = 2.0
"""The same while the server stops: Docker kills a container that takes ten seconds to stop."""

NO_STATUS = 1005
"""The close code (RFC 6455) of a connection that ended without a close frame."""


class MessageHandler(Protocol):
    """The app's side of one socket. None of these methods may wait."""

    def on_message(self, text: str | None) -> None:
        """A text message; None stands for a binary one."""

    def on_disconnect(self, code: int, reason: str) -> None:
        """Either side has closed the socket. It is called once, and no other call follows."""

    def schedule_stop(self) -> None:
        """The server stops: answer what is running, and close the socket."""


class AcceptedSocket(ChunkedReads):
    """`handler` is set by the app, and None again when either side has closed the socket.

    An event loop calls the methods of `asyncio.Protocol`. `send`, `write_frames`, `drained` and `abort` are the app's.
    """

    __slots__ = (
        "_close_timer",
        "_conn",
        "_connections",
        "_is_open",
        "_is_text",
        "_resumed",
        "close_timeout",
        "handler",
        "loop",
        "transport",
        "unfinished",
    )

    def __init__(
        self,
        conn: ServerProtocol,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        connections: set[Any],
    ) -> None:
        """`connections`: those of the server, to which this one belongs until it is lost."""
        super().__init__()
        self._conn, self.transport, self.loop, self._connections = conn, transport, loop, connections
        self.handler: MessageHandler | None = None
        self.unfinished: bytearray | None = None
        """The first fragments of a message, which is a text message if `_is_text`."""
        self._is_open = self._is_text = True
        self.close_timeout = CLOSE_SECONDS
        self._close_timer: asyncio.TimerHandle | None = None
        self._resumed: asyncio.Event | None = None
        """Is set when the client reads again; None while it does."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        self._connections.discard(self)
        self._stop_close_timer()
        self.resume_writing()
        self._end(NO_STATUS, "")
        self._conn.parser.close()  # breaks the reference cycle between parser and connection

    def _end(self, code: int, reason: str) -> None:
        self.unfinished = None
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_disconnect(code, reason)

    # ------------------------------------------------------------------ what the app sends

    def write_frames(self, frames: bytes) -> bool:
        """Write complete text frames at once. False, with nothing written, where the peer reads no bytes now."""
        if self._resumed is not None or not self._is_open:
            return False
        self.transport.write(frames)
        return True

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI's `send` after the handshake. Raises ConnectionError once the socket is closed."""
        await self.drained()
        if not self._is_open or self.transport.is_closing():
            raise ConnectionError("the socket is closed")
        if message["type"] == "websocket.send":
            self._conn.send_text(message["text"].encode())
            self._flush()
            return
        code, reason = message["code"], message["reason"]
        self._is_open = False
        self._conn.send_close(code, reason)
        self._flush()
        # `abort`: `close` would let the socket send what it holds first. A client that reads nothing never takes it.
        self._close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
        self._end(code, reason)

    async def drained(self) -> None:
        """Return when the peer reads bytes again, or is gone."""
        if self._resumed is not None:
            await self._resumed.wait()

    def abort(self) -> None:
        """Drop the connection at once."""
        self.transport.abort()

    def pause_writing(self) -> None:
        self._resumed = asyncio.Event()

    def resume_writing(self) -> None:
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    def _flush(self) -> None:
        self.transport.write(b"".join(self._conn.data_to_send()))

    # ------------------------------------------------------------------ what the client sends

    def feed(self, data: bytes) -> None:
        self._conn.receive_data(data)
        for frame in self._conn.events_received():
            self._on_frame(frame)
        if self._conn.parser_exc is not None:
            self._fail()

    def on_all_fed(self) -> None:
        self.transport.resume_reading()

    def _on_frame(self, frame: Any) -> None:
        if frame.opcode is Opcode.PING:
            if self._resumed is None:
                self._flush()
            else:  # the client sends pings and reads nothing: drop the pong instead of queueing it
                self._conn.data_to_send()
        elif frame.opcode is Opcode.CLOSE:
            self._on_close()
        elif frame.opcode is not Opcode.PONG and self.handler is not None:
            self._on_data(frame)

    def _on_data(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                self._on_message(frame.data)
                return
        if self.unfinished is None:
            self.unfinished = bytearray()
        self.unfinished += frame.data
        if frame.fin:
            data, self.unfinished = self.unfinished, None
            self._on_message(data)

    def _on_message(self, data: BytesLike) -> None:
        try:
            text = bytes(data).decode() if self._is_text else None
        except UnicodeDecodeError:
            self._conn.fail(1007, "Text is UTF-8")  # no second close frame, where one of this chunk was answered
            self._fail()
            return
        try:
            if self.handler is not None:
                self.handler.on_message(text)
        except Exception:
            logger.exception("a WebSocket message could not be handled")
            self.transport.abort()

    def _on_close(self) -> None:
        """The client closes the connection, or answers our close frame."""
        self._is_open = False
        closing = self._conn.close_rcvd
        if self._close_timer is None and closing is not None:
            self._end(closing.code, closing.reason)
            self._flush()
        self._stop_close_timer()
        self.transport.close()

    def _fail(self) -> None:
        """The client breaks the protocol, and the close frame that says so waits to be sent."""
        self._is_open = False
        self._flush()
        self.transport.close()
        closing = self._conn.close_sent
        self._end(*(closing.code, closing.reason) if closing is not None else (1006, ""))

    def _stop_close_timer(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None

    # ------------------------------------------------------------------ stopping

    def shutdown(self) -> None:
        """uvicorn calls this when it stops, and then waits for the connection to end."""
        self.close_timeout = STOP_CLOSE_SECONDS
        if self.handler is not None:
            self.handler.schedule_stop()
        else:
            self._stop_close_timer()
            self.transport.close()
