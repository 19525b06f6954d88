"""Authenticates requests: checks access tokens and whether their sessions are active, with a cache of one second.

A logout, revocation or ban takes effect at once in the process that made it (`mark_ended`), and within a second in all
others: there the cache expires, and `poll` finds ended sessions that still have open connections.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from roomcast.accounts import policy, queries
from roomcast.accounts.models import UserRole
from roomcast.accounts.policy import SessionEndReason
from roomcast.accounts.tokens import Tokens
from roomcast.core.actor import Actor
from roomcast.core.bounded_cache import BoundedCache
from roomcast.core.clock import now
from roomcast.core.db import CoalescingLoader, Database
from roomcast.core.errors import Unauthenticated

CACHE_SECONDS = 1.0
CACHE_SIZE = 10_000

POLL_OVERLAP = timedelta(seconds=60)
"""How far each poll reaches back before the last one: the slowest commit plus the difference between the clocks of two
processes. So polls overlap; ending a session twice has no effect."""

EndedSessions = Mapping[UUID, SessionEndReason]


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """The rights of an active session, or why it has ended."""

    user_id: UUID | None
    is_admin: bool = False
    end_reason: SessionEndReason | None = None


class Sessions:
    """Listeners are called when sessions end, to close their connections. Add them before the first request."""

    def __init__(self, db: Database, tokens: Tokens) -> None:
        self._db, self._tokens = db, tokens
        self._load_state = CoalescingLoader(db, queries.session_states)
        self._cache: BoundedCache[UUID, tuple[float, SessionStatus]] = BoundedCache(CACHE_SIZE)
        self._changes = 0
        self._polled_at = now()
        """When the last successful poll began."""
        self._listeners: list[Callable[[EndedSessions], None]] = []

    async def close(self) -> None:
        """Wait for the running queries."""
        await self._load_state.close()

    async def authenticate(self, access_token: str) -> Actor:
        """The user of this token. Raises TokenExpired, or Unauthenticated for a bad token or an ended session."""
        claims = self._tokens.verify(access_token)
        status = await self.status(claims.session_id)
        if status.end_reason is not None:
            raise Unauthenticated("This session has ended; sign in again.")
        return Actor(claims.user_id, claims.session_id, status.is_admin, claims.expires_at)

    async def status(self, session_id: UUID) -> SessionStatus:
        """The status of the session, at most a second old. Unknown sessions count as revoked."""
        seen = self._cache.get(session_id)
        if seen is not None and time.monotonic() - seen[0] <= CACHE_SECONDS:
            return seen[1]
        looked_at, changes = time.monotonic(), self._changes
        found = await self._load_state(session_id)
        if found is None:
            status = SessionStatus(None, end_reason=SessionEndReason.SESSION_REVOKED)
        else:
            reason = policy.session_end_reason(found, found, now())
            status = SessionStatus(found.user_id, found.role == UserRole.ADMIN, reason)
        if changes == self._changes:  # else the row may have been read before the change
            self._cache.put(session_id, (looked_at, status))
        return status

    # ------------------------------------------------------------------ changes

    def mark_ended(self, ended: EndedSessions) -> None:
        """Note that these sessions have ended, and call the listeners."""
        self._changes += 1
        for session_id, end_reason in ended.items():
            self._cache.put(session_id, (time.monotonic(), SessionStatus(None, end_reason=end_reason)))
        for listener in self._listeners:
            listener(ended)

    def invalidate_user(self, user_id: UUID) -> None:
        """Drop the cached sessions of a user whose rights have changed."""
        self._changes += 1
        for session_id in [id_ for id_, (_, status) in self._cache.items() if status.user_id == user_id]:
            self._cache.discard(session_id)

    def add_listener(self, listener: Callable[[EndedSessions], None]) -> None:
        self._listeners.append(listener)

    async def poll(self) -> None:
        """Find sessions that other processes have ended since the last successful poll."""
        started_at = now()
        async with asyncio.timeout(self._db.answer_seconds), self._db.read() as session:
            found = await queries.sessions_ended_since(session, min(self._polled_at, started_at) - POLL_OVERLAP)
        self._polled_at = started_at
        if found:
            self.mark_ended(
                {
                    id_: SessionEndReason.BANNED if banned_at else SessionEndReason.SESSION_REVOKED
                    for id_, banned_at in found
                }
            )

    # ------------------------------------------------------------------ cache
