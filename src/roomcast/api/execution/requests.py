"""The GraphQL request as HTTP and WebSocket clients send it, and its validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class InvalidRequest(Exception):
    """The JSON is not a GraphQL request. The message says which part is wrong."""


@dataclass(frozen=True, slots=True)
class Request:
    """`query` is None when `extensions` or `document_id` name a document that the server knows."""

    query: str | None
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None

    @property
    def query_hash(self) -> str | None:
        """The SHA-256 hash of a persisted query, in the format of Apollo clients."""
        persisted = self.extensions.get("persistedQuery")
        return persisted.get("sha256Hash") if isinstance(persisted, dict) else None


def parse_request(body: Mapping[str, Any]) -> Request:
    """Read a request from a JSON object. Raises InvalidRequest."""
    extensions = _optional(body, "extensions", dict, "an object")
    persisted = extensions.get("persistedQuery") if extensions else None
    request = Request(
        _optional(body, "query", str, "a string with a GraphQL document"),
        _optional(body, "variables", dict, "an object") or {},
        _optional(body, "operationName", str, "a string") or None,
        extensions or {},
        _optional(body, "documentId", str, "a string"),
    )
    if persisted is not None and not (isinstance(persisted, dict) and isinstance(persisted.get("sha256Hash"), str)):
        raise InvalidRequest("persistedQuery must be an object with a sha256Hash.")
    if request.query is None and request.document_id is None and request.query_hash is None:
        raise InvalidRequest("query must be a string with a GraphQL document.")
    return request


def _optional(body: Mapping[str, Any], name: str, kind: type, expected: str) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidRequest(f"{name} must be {expected} or null.")
    return value
