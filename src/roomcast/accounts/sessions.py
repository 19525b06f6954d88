"""Which sessions live: what every request asks, answered from memory for at most a second.

A logout, revocation or ban is felt at once in the process that did it (`forget`) and within that second in all others.
"""

import time
from collections import OrderedDict
from uuid import UUID

from roomcast.accounts import queries
from roomcast.accounts.models import UserRole
from roomcast.accounts.tokens import Tokens
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.core.errors import Unauthenticated

BELIEVED_SECONDS = 1.0
REMEMBERED = 10_000


class Sessions:
    def __init__(self, db: Database, tokens: Tokens) -> None:
        self._db, self._tokens = db, tokens
        self._seen: OrderedDict[UUID, tuple[float, bool | None]] = OrderedDict()

    async def actor(self, access_token: str) -> Actor:
        """Who holds this token. Raises TokenExpired, or Unauthenticated for a bad token or an ended session."""
        claims = self._tokens.read(access_token)
        is_admin = await self.is_admin(claims.session_id)
        if is_admin is None:
            raise Unauthenticated("this session has ended; sign in again")
        return Actor(claims.user_id, claims.session_id, is_admin, claims.expires_at)

    async def is_admin(self, session_id: UUID) -> bool | None:
        """Whether the session's person is an administrator; None when the session does not live."""
        seen = self._seen.get(session_id)
        if seen is None or time.monotonic() - seen[0] > BELIEVED_SECONDS:
            seen = (time.monotonic(), await self._look(session_id))
            self._seen[session_id] = seen
            self._seen.move_to_end(session_id)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return seen[1]

    def forget(self, session_id: UUID) -> None:
        """The next request of this session asks the database again."""
        self._seen.pop(session_id, None)

    async def _look(self, session_id: UUID) -> bool | None:
        async with self._db.read() as session:
            found = await queries.session_state(session, session_id)
        if found is None:
            return None
        state, user = found
        if state.revoked_at is not None or state.expires_at <= now() or user.banned_at is not None:
            return None
        return user.role == UserRole.ADMIN
