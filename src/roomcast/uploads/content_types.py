"""Detects the content type of a file from its first bytes. The declared type counts only where it is harmless."""

from roomcast.core.errors import UnsupportedMediaType

HEAD_BYTES = 64
"""The number of first bytes that are needed to detect the type."""

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
"""Types that get a thumbnail and may be avatars."""

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
"""Types that browsers may display inline: media, which cannot run scripts. A file has one of these types only if its
bytes have the signature."""

_KNOWN = frozenset(kind for _, _, kind in _SIGNATURES)


def detect_type(head: bytes) -> str | None:
    """The type whose signature the first bytes have; None if unknown."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset) and head.startswith(_REQUIRED_PREFIXES.get(kind, b"")):
            return kind
    return None


def resolve_type(declared: str, head: bytes) -> str:
    """The content type to store. The signature decides; without one, the declared type, unless it has a signature.

    Raises UnsupportedMediaType for a file that is declared as a picture and is not one.
    """
    found, declared_type = detect_type(head), _ALIASES.get(declared, declared)
    if declared_type in PICTURES and found not in PICTURES:
        raise UnsupportedMediaType(f"This file is not of the type {declared_type}.")
    if found == ZIP and declared_type not in _KNOWN:  # documents of many kinds are zip files
        return declared_type
    return found or (UNKNOWN if declared_type in _KNOWN else declared_type)
