"""The WebSockets of a client (graphql-transport-ws), and the position of each stream.

A lost connection is replaced; each stream continues from the cursor of the last event that it has received. A stream
whose reader is slow is ended and started again later, so that it holds up no other stream and memory stays bounded.
"""

import asyncio
import itertools
import json
from collections import deque
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from roomcast_client.errors import RoomcastError, SignInRequired, response_error
from roomcast_client.events import ROOM_EVENTS, RoomEvent, StreamEnded, read_event
from roomcast_client.retry import Backoff
from roomcast_client.session import Session

OPEN_SECONDS: Final = 15.0
WAITING_EVENTS: Final = 500
"""How many events wait for the reader of a stream before the stream is ended until they have been read."""

STREAMS_PER_SOCKET: Final = 90
"""The server allows 100 operations on one socket."""

SILENT_HEARTBEATS: Final = 2.5
"""After so many heartbeats without a frame the server is frozen or gone."""

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""The server's answers have at most 4 MiB."""

TOKEN_EXPIRED: Final = 4403
NOT_SIGNED_IN: Final = 4401
PERMANENT: Final = {4400, 4406, 4409, 4429}
"""Close codes that repeating does not cure."""


class Stream:
    """The events of one room on their way to one reader."""

    def __init__(self, socket: "Socket", room_id: str, after: str | None) -> None:
        self._socket, self.room_id = socket, room_id
        self.after = after
        """The position after the last event that has been received. The reader may not have read it yet."""
        self.operation_id: str | None = None
        """That of the subscription on the present connection. None: it has to be started."""
        self.backoff = Backoff()
        self._events: deque[RoomEvent] = deque()
        self._changed = asyncio.Event()
        self._is_over = False
        self._error: RoomcastError | None = None

    async def next(self) -> RoomEvent | None:
        """The next event; None after the last one. Raises the RoomcastError that has ended the stream."""
        while not self._events:
            if self._is_over:
                if self._error is not None:
                    raise self._error
                return None
            self._changed.clear()
            self._socket.start(self)
            await self._changed.wait()
        return self._events.popleft()

    def add(self, event: RoomEvent) -> None:
        self.after = event.cursor
        self.backoff.reset()
        self._events.append(event)
        self._changed.set()
        if isinstance(event, StreamEnded):
            self.end(None)
        elif self.is_full:
            self._socket.stop(self)

    @property
    def is_full(self) -> bool:
        return len(self._events) >= WAITING_EVENTS

    def end(self, error: RoomcastError | None) -> None:
        self._is_over, self._error = True, self._error or error
        self._changed.set()
        self._socket.remove(self)

    def close(self) -> None:
        self._is_over = True
        self._socket.stop(self)
        self._socket.remove(self)


class SocketPool:
    """The sockets of a client: as many as its streams need."""

    def __init__(self, url: str, session: Session) -> None:
        self._url, self._session = url, session
        self._sockets: list[Socket] = []

    def open_stream(self, room_id: str, after: str | None) -> Stream:
        """It starts with the first call of its `next`."""
        for socket in self._sockets:
            if len(socket.streams) < STREAMS_PER_SOCKET:
                return socket.open_stream(room_id, after)
        self._sockets.append(Socket(self._url, self._session))
        return self._sockets[-1].open_stream(room_id, after)

    async def close(self) -> None:
        for socket in self._sockets:
            await socket.close()


class Socket:
    """It is connected while there are streams."""

    def __init__(self, url: str, session: Session) -> None:
        self._url, self._session = url, session
        self.streams: set[Stream] = set()
        self._operations: dict[str, Stream] = {}
        self._ids = itertools.count(1)
        self._outgoing: asyncio.Queue[dict[str, Any]] | None = None  # None: there is no connection
        self._task: asyncio.Task[None] | None = None

    def open_stream(self, room_id: str, after: str | None) -> Stream:
        stream = Stream(self, room_id, after)
        self.streams.add(stream)
        return stream

    def start(self, stream: Stream) -> None:
        """Subscribe, if the stream has no subscription on the present connection."""
        if stream not in self.streams or stream.is_full:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="roomcast socket")
        if self._outgoing is None or stream.operation_id is not None:
            return
        stream.operation_id = str(next(self._ids))
        self._operations[stream.operation_id] = stream
        variables = {"roomId": stream.room_id, "after": stream.after}
        payload = {"query": ROOM_EVENTS, "variables": variables}
        self._outgoing.put_nowait({"type": "subscribe", "id": stream.operation_id, "payload": payload})

    def stop(self, stream: Stream) -> None:
        """End the subscription. Events of it that are still on their way are ignored: a later one repeats them."""
        if self._outgoing is not None and stream.operation_id is not None:
            self._outgoing.put_nowait({"type": "complete", "id": stream.operation_id})
        self._forget(stream)

    def remove(self, stream: Stream) -> None:
        self._forget(stream)
        self.streams.discard(stream)

    async def close(self) -> None:
        for stream in list(self.streams):
            stream.end(None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # -------------------------------------------------------------- the connection

    async def _run(self) -> None:
        """Replace lost connections until all streams have ended."""
        backoff = Backoff()
        refused: str | None = None
        while self.streams:
            try:
                refused = await self._connect(refused, backoff)
            except RoomcastError as error:
                if not error.is_retryable:
                    self._end_all(error)
            finally:
                self._lose_connection()
            if self.streams:
                await backoff.wait()

    async def _connect(self, refused: str | None, backoff: Backoff) -> str | None:
        """One connection, until it is lost or the last stream ends. Returns its token if that has expired.

        `refused`: the token that had expired. Raises RoomcastError when another connection would not help.
        """
        token = await self._session.access_token(refused)
        try:
            async with connect(
                self._url,
                subprotocols=[Subprotocol("graphql-transport-ws")],
                ping_interval=None,  # the server's own pings are watched
                open_timeout=OPEN_SECONDS,
                close_timeout=1,
                max_size=MAX_FRAME_BYTES,
            ) as connection:
                await self._serve(connection, token, backoff)
        except ConnectionClosed as closed:
            return token if _close_code(closed) == TOKEN_EXPIRED else None
        except InvalidStatus as answer:
            status = answer.response.status_code
            if 400 <= status < 500 and status not in (408, 429):
                raise RoomcastError("FORBIDDEN", f"the server refuses sockets with status {status}") from None
        except (OSError, WebSocketException):  # it is away, or has gone silent
            pass
        except (ValueError, KeyError, TypeError) as nonsense:
            raise RoomcastError("BAD_ANSWER", f"this is not what roomcast sends: {nonsense!r}") from nonsense
        return None

    async def _serve(self, connection: ClientConnection, token: str, backoff: Backoff) -> None:
        await connection.send(json.dumps({"type": "connection_init", "payload": {"authorization": token}}))
        async with asyncio.timeout(OPEN_SECONDS):
            acknowledged = json.loads(await connection.recv())
        silence_seconds = acknowledged["payload"]["heartbeatMs"] / 1000 * SILENT_HEARTBEATS
        backoff.reset()
        self._outgoing = asyncio.Queue()
        for stream in list(self.streams):
            self.start(stream)
        sending = asyncio.create_task(self._send(connection, self._outgoing))
        try:
            while self.streams:
                async with asyncio.timeout(silence_seconds):  # a server that is frozen sends no pings
                    message = json.loads(await connection.recv())
                self._on_message(message)
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _send(self, connection: ClientConnection, outgoing: "asyncio.Queue[dict[str, Any]]") -> None:
        with suppress(ConnectionClosed):  # the reading side sees it, too
            while True:
                await connection.send(json.dumps(await outgoing.get()))

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping" and self._outgoing is not None:
            self._outgoing.put_nowait({"type": "pong"})
        stream = self._operations.get(message.get("id", ""))
        if stream is None:  # of a subscription that was stopped
            return
        match message["type"]:
            case "next" if message["payload"].get("errors"):  # one event has failed: read it again
                self._on_error(stream, response_error(message["payload"]["errors"][0]))
            case "next":
                stream.add(read_event(message["payload"]["data"]["roomEvents"]))
            case "error":
                self._on_error(stream, response_error(message["payload"][0]))
            case "complete":
                stream.end(None)

    def _on_error(self, stream: Stream, error: RoomcastError) -> None:
        """A failure of the server ends one subscription. It is started again after a pause."""
        if not error.is_retryable:
            stream.end(error)
            return
        self.stop(stream)
        pause = stream.backoff.next(error.retry_after)
        asyncio.get_running_loop().call_later(pause, self.start, stream)

    def _forget(self, stream: Stream) -> None:
        if stream.operation_id is not None:
            self._operations.pop(stream.operation_id, None)
            stream.operation_id = None

    def _lose_connection(self) -> None:
        self._outgoing = None
        self._operations.clear()
        for stream in self.streams:
            stream.operation_id = None

    def _end_all(self, error: RoomcastError) -> None:
        for stream in list(self.streams):
            stream.end(error)


def _close_code(closed: ConnectionClosed) -> int | None:
    """Raises RoomcastError for codes after which another connection would be closed, too."""
    if closed.rcvd is None:
        return None
    if closed.rcvd.code == NOT_SIGNED_IN:
        raise SignInRequired("UNAUTHENTICATED", "the session has ended: call login again") from closed
    if closed.rcvd.code in PERMANENT:
        raise RoomcastError("BAD_USER_INPUT", f"the server has closed the socket: {closed.rcvd.reason}") from closed
    return closed.rcvd.code
