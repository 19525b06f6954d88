"""Where clients put an access token: in the Authorization header, or in any of the places of `connection_init`."""

from collections.abc import Iterable, Mapping
from typing import Any

NAMES = ("authorization", "authtoken", "token")


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The bearer token of an HTTP request; None where there is no credential of that kind."""
    for name, value in headers:
        if name == b"authorization":
            return bare(value.decode("latin-1"), only_bearer=True)
    return None


def from_init(payload: Mapping[str, Any]) -> str | None:
    """The token of a `connection_init`: `authorization`, `authToken` or `token` in any letter case, with or without
    "Bearer", at the top or under `headers`: what graphql-ws, Apollo, urql, GraphiQL and gql are told to send."""
    lowered = {name.lower(): value for name, value in payload.items()}
    for name in NAMES:
        if isinstance(value := lowered.get(name), str) and (token := bare(value)):
            return token
    headers = lowered.get("headers")
    return from_init(headers) if isinstance(headers, dict) and headers is not payload else None


def bare(value: str, *, only_bearer: bool = False) -> str | None:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    return None if only_bearer else value.strip() or None
