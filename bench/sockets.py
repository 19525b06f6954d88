"""WebSocket clients that cost little CPU: thousands run in one process. They count frames and decode few of them."""

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
)


class WebSocketClient(asyncio.Protocol):
    """`on_frame` is called with the payload of each text frame. `count` and `bytes`: what was received so far."""

    def __init__(
        self, path: str, port: int, protocol: str, on_frame: Callable[["WebSocketClient", bytes], None]
    ) -> None:
        self._request = HANDSHAKE.format(
            path=path, port=port, protocol=protocol, key=base64.b64encode(os.urandom(16)).decode()
        )
        self._on_frame = on_frame
        self._buffer = b""
        self.open = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.count = 0
        self.bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.open.done():
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            assert b" 101 " in head.split(b"\r\n", 1)[0], head
            self._buffer = rest
            self.open.set_result(None)
        self._read_frames()

    def _read_frames(self) -> None:
        buffer, at, size = self._buffer, 0, len(self._buffer)
        while size - at >= 2:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                if size - at < 4:
                    break
                length, start = struct.unpack_from(">H", buffer, at + 2)[0], at + 4
            elif length == 127:
                if size - at < 10:
                    break
                length, start = struct.unpack_from(">Q", buffer, at + 2)[0], at + 10
            if size < start + length:
                break
            if buffer[at] & 0x0F == 1:
                self.count += 1
                self.bytes += length
                self._on_frame(self, buffer[start : start + length])
            at = start + length
        self._buffer = buffer[at:]

    def send_json(self, message: Any) -> None:
        body = json.dumps(message).encode()
        size = bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + struct.pack(">H", len(body))
        self.transport.write(b"\x81" + size + b"\0\0\0\0" + body)  # a mask of zeros is valid and saves the masking


async def connect(
    port: int, path: str, protocol: str, on_frame: Callable[[WebSocketClient, bytes], None], small_buffers: bool = False
) -> WebSocketClient:
    """`small_buffers`: without it, the kernel buffers megabytes for a client that does not read."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    if small_buffers:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # the sender's buffer is a multiple of it
    await loop.sock_connect(connection, ("127.0.0.1", port))
    _, client = await loop.create_connection(lambda: WebSocketClient(path, port, protocol, on_frame), sock=connection)
    await client.open
    return client


async def connect_many(
    count: int, port: int, path: str, protocol: str, on_frame: Callable[[WebSocketClient, bytes], None]
) -> list[WebSocketClient]:
    clients: list[WebSocketClient] = []
    for start in range(0, count, 100):
        batch = min(100, count - start)
        clients += await asyncio.gather(*(connect(port, path, protocol, on_frame) for _ in range(batch)))
    return clients
