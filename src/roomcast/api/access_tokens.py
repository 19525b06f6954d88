"""Where clients put an access token: in the Authorization header, or in any of the places of `connection_init`.

A credential that cannot be read is refused. Treating it as none would make its sender anonymous without telling them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from roomcast.core.errors import Unauthenticated

NAMES = ("authorization", "authtoken", "accesstoken", "token")
"""Keys of `connection_init`, in lower case, in the order in which they are looked at."""


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
    """The token of a `connection_init`, at the top or under `headers`: what graphql-ws, Apollo, urql, GraphiQL and gql
    are told to send. `authorization`, `authToken`, `accessToken` or `token` in any letter case, with or without
    "Bearer"; None where all are absent, null or empty.

    Raises Unauthenticated for another scheme, and for a token that is no string.
    """
    headers = next((value for name, value in payload.items() if name.lower() == "headers"), None)
    for place in (payload, headers):
        if isinstance(place, dict) and (token := _from_place(place)):
            return token
    return None


def _from_place(place: Mapping[str, Any]) -> str | None:
    lowered = {name.lower(): value for name, value in place.items()}
    found = [_token(lowered[name]) for name in NAMES if lowered.get(name) is not None]
    return next((token for token in found if token), None)


def _token(value: Any) -> str | None:
    if not isinstance(value, str):
        raise Unauthenticated("an access token is a string")
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    if rest:
        raise _unknown_scheme()
    return scheme or None


def _unknown_scheme() -> Unauthenticated:
    return Unauthenticated("credentials are sent as `Bearer <access token>`")
