"""Access tokens: short-lived JWTs (RFC 9068 profile), signed with the first key and verified with any key."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from roomcast.core.bounded_cache import BoundedCache
from roomcast.core.clock import now
from roomcast.core.errors import TokenExpired, Unauthenticated
from roomcast.core.ids import uuid7
from roomcast.core.keys import derive_key

if TYPE_CHECKING:
    import jwt

ISSUER = "roomcast"
CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Claims:
    user_id: UUID
    session_id: UUID
    expires_at: datetime


class Tokens:
    """`secrets`: at least 32 bytes each. The first one signs, all verify; a new secret goes to the front.

    Access tokens and refresh tokens have different keys, which are derived from the secrets. Access tokens of older
    releases, which were signed with a secret itself, are still valid.
    """

    def __init__(self, secrets: Sequence[bytes], access_seconds: int) -> None:
        keys = [*(derive_key(secret, "access tokens") for secret in secrets), *secrets]
        self._keys_by_id = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self._refresh_keys = [derive_key(secret, "refresh tokens") for secret in secrets]
        self._signing_key_id = next(iter(self._keys_by_id))
        self._lifetime = timedelta(seconds=access_seconds)
        self._cache: BoundedCache[str, Claims] = BoundedCache(CACHE_SIZE)

    def issue_access_token(self, user_id: UUID, session_id: UUID) -> tuple[str, datetime]:
        """A new access token and its expiry."""
        issued = now()
        expires = issued + self._lifetime
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid7()),
            "iat": int(issued.timestamp()),
            "exp": expires.timestamp(),
        }
        headers = {"kid": self._signing_key_id, "typ": "at+jwt"}
        return self._jwt.encode(claims, self._keys_by_id[self._signing_key_id], "HS256", headers=headers), expires

    def verify(self, token: str) -> Claims:
        """Raises TokenExpired, or Unauthenticated for a token that is not valid.

        Verified tokens are cached, because clients send the same token with each request.
        """
        claims = self._cache.get(token)
        if claims is None:
            claims = self._verify(token)
            self._cache.put(token, claims)
        if claims.expires_at <= datetime.now(UTC):
            raise TokenExpired("The access token has expired.")
        return claims

    def _verify(self, token: str) -> Claims:
        import jwt  # noqa: PLC0415 (slow: it imports `cryptography`, which HS256 does not use)

        try:
            header = jwt.get_unverified_header(token)
            key = self._keys_by_id.get(str(header.get("kid")))
            if key is None or header.get("typ") != "at+jwt":
                raise Unauthenticated("This access token was not issued by this server.")
            return _claims(
                self._jwt.decode(
                    token,
                    key,
                    algorithms=["HS256"],
                    audience=ISSUER,
                    issuer=ISSUER,
                    options={"require": ["exp", "iat", "sub", "sid", "jti"], "verify_iat": False},
                )
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("The access token has expired.") from None
        except (jwt.InvalidTokenError, ValueError, OverflowError):
            raise Unauthenticated("This access token is not valid.") from None

    @cached_property
    def _jwt(self) -> "jwt.PyJWT":
        import jwt  # noqa: PLC0415 (as above)

        return jwt.PyJWT(options={"enforce_minimum_key_length": True})

    def successor_secrets(self, secret: str) -> list[str]:
        """The secret of the next refresh token, derived with each key; that of the signing key comes first."""
        return [hmac.new(key, b"refresh:" + secret.encode(), "sha256").hexdigest() for key in self._refresh_keys]


def _claims(payload: dict[str, Any]) -> Claims:
    return Claims(UUID(payload["sub"]), UUID(payload["sid"]), datetime.fromtimestamp(payload["exp"], UTC))
