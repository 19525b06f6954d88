"""Documents that are named instead of sent: automatic persisted queries, and a manifest of the only ones that run."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roomcast.api.errors import coded_error
from roomcast.api.execution.documents import RequestErrors
from roomcast.api.execution.requests import Request

MAX_CACHED_DOCUMENTS = 1_000
MAX_CACHED_CHARACTERS = 2_000_000

Manifest = Mapping[str, str]
"""Documents by their id: the SHA-256 of the text, or what the client's build calls it."""


class InvalidManifest(Exception):
    """The file is no manifest."""


class PersistedQueries:
    """`automatic`: clients may teach us documents (Apollo's protocol). `trusted`: nothing but these is ever run."""

    def __init__(self, *, automatic: bool, trusted: Manifest | None = None) -> None:
        self._automatic = automatic and trusted is None
        self._trusted = trusted
        self._hashes = {sha256(text) for text in trusted.values()} if trusted is not None else set()
        self._learned: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    def document_text(self, request: Request) -> str:
        """The document that a request means. Raises RequestErrors."""
        if self._trusted is not None:
            return self._of_manifest(request, self._trusted)
        if request.query_hash is None:
            if request.query is None:
                raise not_found()
            return request.query
        return self._learned_from(request, request.query_hash)

    def _of_manifest(self, request: Request, trusted: Manifest) -> str:
        name = request.document_id or request.query_hash
        if name is not None:
            if name.removeprefix("sha256:") not in trusted:
                raise not_found()
            return trusted[name.removeprefix("sha256:")]
        if sha256(request.query or "") not in self._hashes:
            raise RequestErrors(
                coded_error("FORBIDDEN", "This server runs the documents of its manifest and no others.")
            )
        return request.query or ""

    def _learned_from(self, request: Request, wanted: str) -> str:
        if request.query is None:
            if not self._automatic:
                # Apollo's clients know this message and stop trying; the code is one that every client retries by.
                raise RequestErrors(coded_error("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotSupported"))
            if wanted not in self._learned:
                raise not_found()
            self._learned.move_to_end(wanted)
            return self._learned[wanted]
        if sha256(request.query) != wanted.lower():
            raise RequestErrors(coded_error("BAD_USER_INPUT", "sha256Hash is not the hash of query."))
        return request.query

    def register(self, request: Request) -> None:
        """Keep a document under its hash, now that it has proved good: nobody fills this with anything else."""
        wanted, text = request.query_hash, request.query
        if not self._automatic or wanted is None or text is None or wanted in self._learned:
            return
        self._learned[wanted] = text
        self._characters += len(text)
        while len(self._learned) > MAX_CACHED_DOCUMENTS or self._characters > MAX_CACHED_CHARACTERS:
            self._characters -= len(self._learned.popitem(last=False)[1])


def not_found() -> RequestErrors:
    return RequestErrors(coded_error("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Apollo's manifest, or a plain object from id to document as Relay and GraphQL Codegen write it.

    Raises WrongManifest.
    """
    try:
        found = json.loads(path.read_bytes())
        listed = found.get("operations")
        documents = {each["id"]: each["body"] for each in listed} if isinstance(listed, list) else found
        return {_name(id_): _document(text) for id_, text in documents.items()}
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidManifest(f"{path} is no manifest: an object from id to document, or Apollo's format") from None


def _name(id_: str) -> str:
    return id_.removeprefix("sha256:")


def _document(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text
