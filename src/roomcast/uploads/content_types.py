"""What a file is, by its first bytes. What somebody calls it counts only where that cannot do harm."""

from roomcast.core.errors import UnsupportedMediaType

HEAD_BYTES = 64
"""As much of a file as decides what it is."""

UNKNOWN = "application/octet-stream"
ZIP = "application/zip"

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypheim", "image/heic"),
    (4, b"ftyphevc", "image/heic"),
    (4, b"ftyphevx", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypmsf1", "image/heic"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypisom", "video/mp4"),
    (4, b"ftypiso", "video/mp4"),
    (4, b"ftypmp4", "video/mp4"),
    (4, b"ftypavc1", "video/mp4"),
    (4, b"ftypM4V", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", ZIP),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"\x7fELF", "application/x-executable"),
)
_REQUIRED_PREFIXES: dict[str, bytes] = {"image/webp": b"RIFF", "audio/wav": b"RIFF"}
_ALIASES: dict[str, str] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/heif": "image/heic",
}

PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What a thumbnail is made of, and what an avatar may be."""

INLINE = PICTURES | {
    "image/avif",
    "video/mp4",
    "video/webm",
    "audio/mp4",
    "audio/ogg",
    "audio/flac",
    "audio/mpeg",
    "audio/wav",
}
"""What a browser may show in its place: media, which run nothing. A stored type is one of these only if the bytes
say so."""

_KNOWN = frozenset(kind for _, _, kind in _SIGNATURES)


def detect_type(head: bytes) -> str | None:
    """The type whose signature these first bytes bear."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset) and head.startswith(_REQUIRED_PREFIXES.get(kind, b"")):
            return kind
    return None


def resolve_type(declared: str, head: bytes) -> str:
    """The type a file is kept under. Its signature decides; without one, its sender, except over what we would know.

    Raises UnsupportedMediaType for what is called a picture and is none.
    """
    found, called = detect_type(head), _ALIASES.get(declared, declared)
    if called in PICTURES and found not in PICTURES:
        raise UnsupportedMediaType(f"these bytes are no {called}")
    if found == ZIP and called not in _KNOWN:  # documents of many kinds are zip files
        return called
    return found or (UNKNOWN if called in _KNOWN else called)
