"""`AcceptedSocket` without a network: the same bytes have the same effect, wherever the network cuts them."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from roomcast.server.accepted_socket import AcceptedSocket

MAX_BYTES = 40


class RecordingTransport(asyncio.Transport):
    def __init__(self) -> None:
        self.sent = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self.is_closed = True


class RecordingHandler:
    """Records the messages, and at last the close code and reason."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_message(self, text: str | None) -> None:
        self.calls.append(text)

    def on_disconnect(self, code: int, reason: str) -> None:
        self.calls.append((code, reason))

    def schedule_stop(self) -> None:
        raise NotImplementedError


def effect_of(chunks: list[bytes]) -> tuple[list[Any], bytes, bool]:
    """What the app is told, what the client is sent, and whether the connection is closed."""
    transport, handler = RecordingTransport(), RecordingHandler()
    conn = ServerProtocol(max_size=MAX_BYTES, state=OPEN)
    socket = AcceptedSocket(conn, transport, asyncio.new_event_loop(), set())
    socket.handler = handler
    for chunk in chunks:
        if not transport.is_closed:
            socket.feed(chunk)
    socket.loop.close()
    return handler.calls, transport.sent, transport.is_closed


contents = st.one_of(st.binary(max_size=30), st.text(max_size=15).map(str.encode))
data_frames = st.builds(
    lambda opcode, data, fin: Frame(opcode, data, fin).serialize(mask=True),
    st.sampled_from([Opcode.TEXT, Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
    contents,
    st.booleans(),
)
control_frames = st.builds(
    lambda opcode, data: Frame(opcode, data).serialize(mask=True), st.sampled_from([Opcode.PING, Opcode.PONG]), contents
)
CLOSE = Frame(Opcode.CLOSE, Close(1000, "bye").serialize()).serialize(mask=True)
unmasked = st.just(Frame(Opcode.TEXT, b"no mask").serialize(mask=False))
streams = st.lists(st.one_of(data_frames, data_frames, control_frames, st.just(CLOSE), unmasked), max_size=8).map(
    b"".join
)


@given(streams, st.lists(st.integers(0, 200), max_size=6))
def test_the_places_where_the_bytes_are_cut_change_nothing(sent: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    chunks = [sent[start:end] for start, end in zip(places, places[1:], strict=False)]
    (*messages, end), _, is_closed = effect_of([*chunks, CLOSE])
    (*expected, expected_end), _, expected_closed = effect_of([sent + CLOSE])
    assert messages == expected
    assert is_closed is expected_closed is True
    # The parser answers the last frame of a chunk before the app has decoded the texts before it.
    assert end == expected_end or 1007 in (end[0], expected_end[0])


def test_messages_are_put_together_and_what_follows_the_close_is_ignored() -> None:
    frames = [
        Frame(Opcode.TEXT, "grüße".encode()[:3], False),
        Frame(Opcode.PING, b"still there"),
        Frame(Opcode.CONT, "grüße".encode()[3:]),
        Frame(Opcode.BINARY, b"\xff"),
        Frame(Opcode.CLOSE, Close(4000, "bye").serialize()),
        Frame(Opcode.TEXT, b"late"),
    ]
    calls, sent, is_closed = effect_of([b"".join(frame.serialize(mask=True) for frame in frames)])
    assert calls == ["grüße", None, (4000, "bye")]
    assert sent == b"\x8a\x0bstill there" + b"\x88\x05\x0f\xa0bye"
    assert is_closed
