"""Keys for different purposes from one secret (HKDF with SHA-256, RFC 5869): what signs one thing signs no other."""

import hmac


def derive_key(secret: bytes, purpose: str) -> bytes:
    """32 bytes that tell nothing of the secret, nor of what is derived from it for another purpose."""
    extracted = hmac.digest(b"roomcast", secret, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")
