"""Documents that are named instead of sent: automatic persisted queries, and a manifest of the only ones that run."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roomcast.api.errors import coded
from roomcast.api.execution.documents import RequestErrors
from roomcast.api.execution.requests import Request
from roomcast.core.bounded_cache import BoundedCache

REMEMBERED = 1_000
REMEMBERED_CHARACTERS = 2_000_000

Manifest = Mapping[str, str]
"""Documents by their id: the SHA-256 of the text, or what the client's build calls it."""


class WrongManifest(Exception):
    """The file is no manifest."""


class PersistedQueries:
    """`automatic`: clients may teach us documents (Apollo's protocol). `trusted`: nothing but these is ever run."""

    def __init__(self, *, automatic: bool, trusted: Manifest | None = None) -> None:
        self._automatic = automatic and trusted is None
        self._trusted = trusted
        self._hashes = {sha256(text) for text in trusted.values()} if trusted is not None else set()
        self._learned: BoundedCache[str, str] = BoundedCache(
            REMEMBERED, max_weight=REMEMBERED_CHARACTERS, weigh=lambda _, text: len(text)
        )

    def text(self, request: Request) -> str:
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
            raise RequestErrors(coded("FORBIDDEN", "This server runs the documents of its manifest and no others."))
        return request.query or ""

    def _learned_from(self, request: Request, wanted: str) -> str:
        if request.query is None:
            if not self._automatic:
                # Apollo's clients know this message and stop trying; the code is one that every client retries by.
                raise RequestErrors(coded("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotSupported"))
            text = self._learned.get(wanted)
            if text is None:
                raise not_found()
            return text
        if sha256(request.query) != wanted.lower():
            raise RequestErrors(coded("BAD_USER_INPUT", "sha256Hash is not the hash of query."))
        return request.query

    def learn(self, request: Request) -> None:
        """Keep a document under its hash, now that it has proved good: nobody fills this with anything else."""
        wanted, text = request.query_hash, request.query
        if not self._automatic or wanted is None or text is None or wanted in self._learned:
            return
        self._learned.put(wanted, text)


def not_found() -> RequestErrors:
    return RequestErrors(coded("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"))


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
        raise WrongManifest(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WrongManifest(f"{path} is no manifest: an object from id to document, or Apollo's format") from None


def _name(id_: str) -> str:
    return id_.removeprefix("sha256:")


def _document(text: Any) -> str:
    if not isinstance(text, str):
        raise TypeError
    return text
