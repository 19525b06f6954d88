"""Persisted documents: automatic persisted queries of Apollo clients, and a manifest of trusted documents."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from roomcast.api.errors import coded_error
from roomcast.api.execution.documents import RequestErrors
from roomcast.api.execution.requests import Request
from roomcast.core.bounded_cache import BoundedCache

MAX_CACHED_DOCUMENTS = 1_000
MAX_CACHED_CHARACTERS = 2_000_000
"""The same limits as those of the document cache: more texts would not be kept parsed anyway."""

Manifest = Mapping[str, str]
"""Documents by id. The id is the SHA-256 hash of the text, or a name that the client's build tool chose."""


class InvalidManifest(Exception):
    """The file cannot be read or is not a manifest."""


class PersistedQueries:
    """`automatic`: clients may register documents (Apollo's protocol). `trusted`: only these documents are executed."""

    def __init__(self, *, automatic: bool, trusted: Manifest | None = None) -> None:
        self._automatic = automatic and trusted is None
        self._trusted = trusted
        self._hashes = {sha256(text) for text in trusted.values()} if trusted is not None else set()
        self._registered: BoundedCache[str, str] = BoundedCache(
            MAX_CACHED_DOCUMENTS, max_weight=MAX_CACHED_CHARACTERS, weigh=lambda _, text: len(text)
        )

    def document_text(self, request: Request) -> str:
        """The text of the document that the request sends or names. Raises RequestErrors."""
        if self._trusted is not None:
            name = request.document_id or request.query_hash
            if name is not None:
                if name.removeprefix("sha256:") not in self._trusted:
                    raise not_found()
                return self._trusted[name.removeprefix("sha256:")]
            if sha256(request.query or "") not in self._hashes:
                raise RequestErrors(
                    coded_error("FORBIDDEN", "This server executes only the documents of its manifest.")
                )
            return request.query or ""
        if request.query_hash is None:
            if request.query is None:
                raise not_found()
            return request.query
        return self._automatic_document(request, request.query_hash)

    def _automatic_document(self, request: Request, query_hash: str) -> str:
        if request.query is None:
            if not self._automatic:
                # Apollo clients stop using hashes because of the message. Others send the text because of the code.
                raise RequestErrors(coded_error("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotSupported"))
            text = self._registered.get(query_hash)
            if text is None:
                raise not_found()
            return text
        if sha256(request.query) != query_hash.lower():
            raise RequestErrors(coded_error("BAD_USER_INPUT", "sha256Hash is not the hash of query."))
        return request.query

    def register(self, request: Request) -> None:
        """Store a document under its hash. Call it for valid documents only: invalid ones would fill the cache."""
        query_hash, text = request.query_hash, request.query
        if not self._automatic or query_hash is None or text is None or query_hash in self._registered:
            return
        self._registered.put(query_hash, text)


def not_found() -> RequestErrors:
    return RequestErrors(coded_error("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Read Apollo's manifest format, or an object from id to document as Relay and GraphQL Codegen write it.

    Raises WrongManifest.
    """
    try:
        manifest = json.loads(path.read_bytes())
        operations = manifest.get("operations")
        documents = {each["id"]: each["body"] for each in operations} if isinstance(operations, list) else manifest
        if not all(isinstance(text, str) for text in documents.values()):
            raise TypeError("a document must be a string")
        return {id_.removeprefix("sha256:"): text for id_, text in documents.items()}
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidManifest(f"{path} is neither an object from id to document nor an Apollo manifest") from None
