"""Messages that only one browser can read (RFC 8291 over RFC 8188), and who they are from (RFC 8292).

Every primitive is the library's. What is ours is the order in which the standard puts them together; the standard's own
example is a test.
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

RECORD = 4096
TOKEN_SECONDS = 12 * 3600
"""At most a day, says RFC 8292."""

_CURVE = ec.SECP256R1()


def private_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """The key whose number these 32 bytes are."""
    return ec.derive_private_key(int.from_bytes(raw), _CURVE)


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half, as 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def check_public_point(raw: bytes) -> None:
    """That this is a place on the curve: else what is sealed for it could tell our keys. Raises ValidationFailed."""
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)
    except ValueError:
        raise ValidationFailed("p256dh is no point of the curve P-256", path=("input", "p256dh")) from None


def encrypt(plain: bytes, p256dh: bytes, auth: bytes, ours: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """The body of a request to the push service. `ours` and `salt` are for this message alone."""
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    public = public_point(ours)
    secret = _derived(ours.exchange(ec.ECDH(), theirs), auth, b"WebPush: info\0" + p256dh + public, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    last_record = plain + b"\x02"
    return salt + struct.pack(">IB", RECORD, len(public)) + public + AESGCM(key).encrypt(nonce, last_record, None)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def vapid_authorization(key: ec.EllipticCurvePrivateKey, origin: str, subject: str | None) -> str:
    """The Authorization of a request to this push service. `subject`: whom its people may write to."""
    claims = {"aud": origin, "exp": int(time.time()) + TOKEN_SECONDS, **({"sub": subject} if subject else {})}
    return f"vapid t={jwt.encode(claims, key, algorithm='ES256')}, k={base64url_encode(public_point(key))}"
