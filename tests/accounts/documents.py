"""GraphQL documents and helpers of the account tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from sqlmodel import col, select

from roomcast.core.audit import AuditEntry
from tests.api_clients import LOGIN, PASSWORD, WAIT_SECONDS, AnonymousClient, Json, UserClient
from tests.running_app import RunningApp

A_SECOND = 2.5
"""The time in which a change must take effect in another process: one second, plus slack for a busy machine."""

ME = "{ me { role user { username } } }"
SESSIONS = "{ me { sessions { id deviceName ipAddress current createdAt lastSeenAt } } }"
LOGOUT = "mutation { logout { errors { code } } }"
PROFILE = "id username displayName bio role"
ERRORS = "errors { code path retryable retryAfterMs }"


def acknowledged(name: str) -> str:
    kind = name[0].upper() + name[1:] + "Input"
    return f"mutation Do($input: {kind}!) {{ {name}(input: $input) {{ {ERRORS} }} }}"


def answering_user(name: str) -> str:
    return acknowledged(name).replace(ERRORS, f"{ERRORS} user {{ {PROFILE} }}")


REVOKE = acknowledged("revokeSession")
CHANGE_PASSWORD = acknowledged("changePassword")
BAN = acknowledged("banUser")
UNBAN = acknowledged("unbanUser")
UPDATE_PROFILE = answering_user("updateProfile")
SET_ROLE = answering_user("setUserRole")
TRY = acknowledged("login")

USERS = (
    "query Users($first: Int, $after: String, $last: Int, $before: String, $filter: UserFilter) "
    "{ users(first: $first, after: $after, last: $last, before: $before, filter: $filter) "
    "{ totalCount nodes { username } edges { cursor node { id } } "
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
)


async def sign_in(anonymous: AnonymousClient, name: str, password: str = PASSWORD, **more: Any) -> UserClient:
    """Sign in to an existing account. The client's address becomes the address of the session."""
    signed_in = await anonymous.mutate(LOGIN, usernameOrEmail=name, password=password, **more)
    assert signed_in["errors"] == []
    return UserClient(anonymous.app, name, signed_in)


@asynccontextmanager
async def anonymous_from(app: RunningApp, address: str) -> AsyncIterator[AnonymousClient]:
    """An anonymous client that connects from another address of this machine."""
    async with AnonymousClient(app) as anonymous:
        await anonymous.http.aclose()
        transport = httpx.AsyncHTTPTransport(local_address=address)
        anonymous.http = httpx.AsyncClient(base_url=app.url, timeout=WAIT_SECONDS, transport=transport)
        yield anonymous


def codes(payload: Json) -> list[str]:
    return [error["code"] for error in payload["errors"]]


async def audited(app: RunningApp) -> list[tuple[str, str | None, str | None]]:
    """Action, target and reason of every audit entry, oldest first."""
    async with app.roomcast.db.read() as session:
        entries = (await session.exec(select(AuditEntry).order_by(col(AuditEntry.id)))).all()
    return [(entry.action, entry.target_id, entry.reason) for entry in entries]


@contextmanager
def within(seconds: float) -> Iterator[Callable[[], float]]:
    """Assert that the block takes less than this time. Yields a function that returns the elapsed seconds."""
    started = time.monotonic()
    yield lambda: time.monotonic() - started
    assert time.monotonic() - started < seconds


async def until_signed_out(person: UserClient) -> None:
    """Wait until this client's requests are unauthenticated."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (await person.post({"query": ME})).status_code != 401:  # noqa: ASYNC110 (only a request shows it)
            await asyncio.sleep(0.02)
