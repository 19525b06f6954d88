"""Proving who one is by a password: with limited patience, and the same for unknown names as for known ones."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from roomcast.accounts import queries
from roomcast.accounts.models import User
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.throttle import Key, Throttle, keys_of, network
from roomcast.core.actor import Actor
from roomcast.core.db import Database
from roomcast.core.errors import InvalidCredentials, RateLimited
from roomcast.core.rates import Buckets, Draft, Rate

SIGNUPS = Rate(per_second=1 / 3, burst=200)
"""A whole school behind one address signs up in one lesson; a machine does not fill the server overnight."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Somebody knew the password behind `verified_hash`. `newer_hash`: to be stored in its place."""

    user_id: UUID
    verified_hash: str
    newer_hash: str | None


class Credentials:
    """`buckets` hold what an address has left of signing up. `limited` False: everybody may always try."""

    def __init__(self, db: Database, passwords: Passwords, buckets: Buckets, *, limited: bool = True) -> None:
        self._db, self._passwords, self._buckets, self._limited = db, passwords, buckets, limited
        self.tries = Throttle(enabled=limited)

    async def hash_for_signup(self, password: str, address: str | None) -> str:
        """Raises RateLimited for an address that opens account after account."""
        place = network(address) if self._limited else None
        wait = await self._buckets.take([Draft(f"signups:{place}", SIGNUPS)]) if place else 0
        if wait > 0:
            raise RateLimited("too many new accounts from one address", retry_after_ms=math.ceil(wait * 1000))
        return await self._passwords.hash(password)

    @asynccontextmanager
    async def prove(self, login: str, password: str, address: str | None) -> AsyncIterator[Proof]:
        """Who signs in, by username or e-mail. Raises InvalidCredentials, RateLimited.

        What the proof is for is done inside, so that of a crowd at the door only one person at a time asks anything
        of the database and the loop.
        """
        place = keys_of(login, address, set())[1:]
        self.tries.check(place)
        # The turn comes before the first look at the database: a crowd at the door costs the others nothing, and
        # nobody tries again before the try before it has failed.
        async with self._passwords.turn():
            self.tries.check(place)  # again: those who waited in front may have been of the same place
            async with self._db.read() as session:
                found = await queries.knock(session, login)
            known = {one.ip_address for one in found if one.ip_address}
            yield await self._try(found[0] if found else None, password, keys_of(login, address, known))

    async def confirm(self, actor: Actor, password: str) -> Proof:
        """That it is still the same person who asks. Raises InvalidCredentials, RateLimited."""
        async with self._passwords.turn():
            async with self._db.read() as session:
                user = (await queries.users_by_id(session, [actor.user_id])).get(actor.user_id)
            return await self._try(user, password, [("known", str(actor.user_id), "signed in")])

    async def _try(self, user: User | queries.Knock | None, password: str, keys: Sequence[Key]) -> Proof:
        try:
            self.tries.check(keys)
        except RateLimited:  # whoever keeps knocking is soon not even asked at whose door
            self.tries.blame(keys[1:])
            raise
        good, newer = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not good:
            self.tries.blame(keys)
            raise InvalidCredentials("this is not the password of such an account")
        self.tries.forgive(keys)
        return Proof(user.id, user.password_hash, newer)
