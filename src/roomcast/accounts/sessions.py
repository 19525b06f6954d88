"""Which sessions live: what every request asks, answered from memory for at most a second.

A logout, revocation or ban is felt at once in the process that did it (`end`) and within that second in all others:
there requests ask the database again, and `look` finds what somebody holds open for a session that is over.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from roomcast.accounts import policy, queries
from roomcast.accounts.models import UserRole
from roomcast.accounts.policy import SessionEndReason
from roomcast.accounts.tokens import Tokens
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import CoalescingLoader, Database
from roomcast.core.errors import Unauthenticated

CACHE_SECONDS = 1.0
CACHE_SIZE = 10_000

POLL_OVERLAP = timedelta(seconds=60)
"""How far before the last successful look each look begins: as long as the slowest commit and the difference between
two processes' clocks may take together. Looks overlap; ending a session twice changes nothing."""

EndedSessions = Mapping[UUID, SessionEndReason]


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """What a session is worth at a moment: its person's rights, or why it is over."""

    user_id: UUID | None
    is_admin: bool = False
    end_reason: SessionEndReason | None = None


class Sessions:
    """`listen` before the first request: whoever holds something open for a session is told of its end."""

    def __init__(self, db: Database, tokens: Tokens) -> None:
        self._db, self._tokens = db, tokens
        self._load_state = CoalescingLoader(db, queries.session_states)
        self._cache: OrderedDict[UUID, tuple[float, SessionStatus]] = OrderedDict()
        self._changes = 0
        self._polled_at = now()
        """When the last look that succeeded began."""
        self._listeners: list[Callable[[EndedSessions], None]] = []

    async def close(self) -> None:
        """Wait for the questions under way."""
        await self._load_state.close()

    async def authenticate(self, access_token: str) -> Actor:
        """Who holds this token. Raises TokenExpired, or Unauthenticated for a bad token or an ended session."""
        claims = self._tokens.verify(access_token)
        status = await self.status(claims.session_id)
        if status.end_reason is not None:
            raise Unauthenticated("this session has ended; sign in again")
        return Actor(claims.user_id, claims.session_id, status.is_admin, claims.expires_at)

    async def status(self, session_id: UUID) -> SessionStatus:
        """What the session is worth now, give or take a second; one that never was counts as revoked."""
        seen = self._cache.get(session_id)
        if seen is not None and time.monotonic() - seen[0] <= CACHE_SECONDS:
            return seen[1]
        looked_at, changes = time.monotonic(), self._changes
        status = await self._load_status(session_id)
        if changes == self._changes:  # else what was read may be from before the change
            self._store(session_id, looked_at, status)
        return status

    # ------------------------------------------------------------------ what changes it

    def mark_ended(self, ended: EndedSessions) -> None:
        """These sessions were ended here, or were found ended: believe it from now on, and tell who listens."""
        self._changes += 1
        for session_id, why in ended.items():
            self._store(session_id, time.monotonic(), SessionStatus(None, end_reason=why))
        for listener in self._listeners:
            listener(ended)

    def invalidate_user(self, user_id: UUID) -> None:
        """This person's rights have changed: their next request asks the database again."""
        self._changes += 1
        for session_id in [id_ for id_, (_, standing) in self._cache.items() if standing.user_id == user_id]:
            del self._cache[session_id]

    def add_listener(self, listener: Callable[[EndedSessions], None]) -> None:
        self._listeners.append(listener)

    async def poll(self) -> None:
        """Find what other processes have ended since the last look, however long ago that was, and end it here too."""
        begun_at = now()
        async with asyncio.timeout(self._db.answer_seconds), self._db.read() as session:
            found = await queries.sessions_ended_since(session, min(self._polled_at, begun_at) - POLL_OVERLAP)
        self._polled_at = begun_at
        if found:
            self.mark_ended(
                {
                    id_: SessionEndReason.BANNED if banned_at else SessionEndReason.SESSION_REVOKED
                    for id_, banned_at in found
                }
            )

    # ------------------------------------------------------------------ memory

    def _store(self, session_id: UUID, looked_at: float, status: SessionStatus) -> None:
        self._cache[session_id] = (looked_at, status)
        self._cache.move_to_end(session_id)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)

    async def _load_status(self, session_id: UUID) -> SessionStatus:
        found = await self._load_state(session_id)
        if found is None:
            return SessionStatus(None, end_reason=SessionEndReason.SESSION_REVOKED)
        state, user = found
        return SessionStatus(user.id, user.role == UserRole.ADMIN, policy.session_end_reason(state, user, now()))
