"""WebSocket frames (RFC 6455, section 5.2), as the server sends them: unmasked, not fragmented, not compressed."""


def text_header(size: int) -> bytes:
    """The header of a text frame whose payload has `size` bytes."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
