"""Encryption of push messages (RFC 8291, which builds on RFC 8188) and VAPID authorization (RFC 8292).

The primitives come from `cryptography`. This module combines them as the standards say; the tests contain the example
of RFC 8291.
"""

import struct
import time

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from roomcast.core.errors import ValidationFailed
from roomcast.notifications.policy import base64url_encode

RECORD_SIZE = 4096
TOKEN_SECONDS = 12 * 3600
"""RFC 8292 allows 24 hours at most."""

_CURVE = ec.SECP256R1()


def private_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """The private key with these 32 bytes as its number."""
    return ec.derive_private_key(int.from_bytes(raw), _CURVE)


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as an uncompressed point of 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def check_public_point(raw: bytes) -> None:
    """That this is a point on the curve. A point off the curve could reveal our private key (invalid-curve attack).
    Raises ValidationFailed."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)
    except ValueError:
        raise ValidationFailed(
            "p256dh must be a point on the curve P-256. Send the key that the browser gave.", path=("input", "p256dh")
        ) from None


def encrypt(
    plaintext: bytes, p256dh: bytes, auth: bytes, ephemeral_key: ec.EllipticCurvePrivateKey, salt: bytes
) -> bytes:
    """The body of a request to the push service. `ephemeral_key` and `salt` must be new for each message."""
    browser_key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    public = public_point(ephemeral_key)
    secret = _derive(ephemeral_key.exchange(ec.ECDH(), browser_key), auth, b"WebPush: info\0" + p256dh + public, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    last_record = plaintext + b"\x02"
    return salt + struct.pack(">IB", RECORD_SIZE, len(public)) + public + AESGCM(key).encrypt(nonce, last_record, None)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def vapid_authorization(key: ec.EllipticCurvePrivateKey, origin: str, subject: str | None) -> str:
    """The Authorization header for the push service with this origin. `subject`: how its operators can reach ours."""
    claims = {"aud": origin, "exp": int(time.time()) + TOKEN_SECONDS, **({"sub": subject} if subject else {})}
    return f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={base64url_encode(public_point(key))}"
