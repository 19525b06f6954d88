"""Reads access tokens from the Authorization header and from the payload of `connection_init`.

A credential that cannot be read raises an error. If it were ignored, the client would be anonymous without knowing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from roomcast.core.errors import Unauthenticated

NAMES = ("authorization", "authtoken", "accesstoken", "token")
"""Keys of `connection_init`, in lower case, in the order of precedence."""


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer token of an HTTP request; None where the header is absent or empty.

    Raises Unauthenticated for every other scheme, and for a token without one.
    """
    for name, value in headers:
        if name == b"authorization" and value.strip():
            scheme, _, rest = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() != "bearer":
                raise _unknown_scheme()
            return rest.strip() or None
    return None


def from_init(payload: Mapping[str, Any]) -> str | None:
    """The token of a `connection_init` payload, at its top level or under `headers`; None where there is none.

    Clients of graphql-ws, Apollo, urql, GraphiQL and gql use different keys: `authorization`, `authToken`,
    `accessToken` and `token` are read in any letter case, with or without "Bearer". Values that are null or empty are
    skipped. Raises Unauthenticated for another scheme, and for a token that is not a string.
    """
    headers = next((value for name, value in payload.items() if name.lower() == "headers"), None)
    for mapping in (payload, headers):
        lowered = {name.lower(): value for name, value in mapping.items()} if isinstance(mapping, dict) else {}
        # All are read before the first is taken, so that a malformed one raises wherever it stands.
        tokens = [_token(lowered[name]) for name in NAMES if lowered.get(name) is not None]
        if token := next(filter(None, tokens), None):
            return token
    return None


def _token(value: Any) -> str | None:
    if not isinstance(value, str):
        raise Unauthenticated("An access token must be a string.")
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if rest:
        raise _unknown_scheme()
    return scheme or None


def _unknown_scheme() -> Unauthenticated:
    return Unauthenticated("Credentials are sent as `Bearer <access token>`.")
