"""Derives keys for different purposes from one secret (HKDF with SHA-256, RFC 5869). No key is valid for two
purposes."""

import hmac


def derive_key(secret: bytes, purpose: str) -> bytes:
    """A key of 32 bytes. It reveals neither the secret nor the keys for other purposes."""
    extracted = hmac.digest(b"roomcast", secret, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")
