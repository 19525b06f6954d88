"""What a client sends to have an operation run: one shape and one set of rules, over HTTP and over a socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class InvalidRequest(Exception):
    """The text says what a request looks like."""


@dataclass(frozen=True, slots=True)
class Request:
    """`query` is None where `extensions` or `document_id` name a document that the server knows."""

    query: str | None
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None

    @property
    def query_hash(self) -> str | None:
        """The SHA-256 of a persisted query, as Apollo's clients name it."""
        persisted = self.extensions.get("persistedQuery")
        return persisted.get("sha256Hash") if isinstance(persisted, dict) else None


def parse_request(found: Mapping[str, Any]) -> Request:
    """Raises NotARequest."""
    extensions = _optional(found, "extensions", dict, "an object")
    persisted = extensions.get("persistedQuery") if extensions else None
    request = Request(
        _optional(found, "query", str, "a string with a GraphQL document"),
        _optional(found, "variables", dict, "an object") or {},
        _optional(found, "operationName", str, "a string") or None,
        extensions or {},
        _optional(found, "documentId", str, "a string"),
    )
    if persisted is not None and not (isinstance(persisted, dict) and isinstance(persisted.get("sha256Hash"), str)):
        raise InvalidRequest("persistedQuery is an object with a sha256Hash.")
    if request.query is None and request.document_id is None and request.query_hash is None:
        raise InvalidRequest("query is a string with a GraphQL document.")
    return request


def _optional(found: Mapping[str, Any], name: str, kind: type, shape: str) -> Any:
    value = found.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidRequest(f"{name} is {shape} or null.")
    return value
