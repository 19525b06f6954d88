"""Proving who one is by a password: with limited patience, and the same for unknown names as for known ones."""

import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from roomcast.accounts import queries
from roomcast.accounts.models import User
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.throttle import MAX_LOGIN, Key, Recent, Throttle, blocking_keys, network, throttle_keys
from roomcast.core.actor import Actor
from roomcast.core.db import Database
from roomcast.core.errors import EmailTaken, InvalidCredentials, RateLimited
from roomcast.core.rates import Buckets, Charge, Rate

SIGNUPS = Rate(per_second=1 / 3, burst=200)
"""A whole school behind one address signs up in one lesson; a machine does not fill the server overnight."""


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """Somebody knew the password behind `verified_hash`. `newer_hash`: to be stored in its place."""

    user_id: UUID
    verified_hash: str
    newer_hash: str | None


UNKNOWN_ADDRESS_SECONDS = 60.0
"""How long it is remembered that an account has not signed in from an address: while the address has to wait, the same
name is looked up once in this time."""


def _known_addresses(found: Sequence[queries.LoginCandidate]) -> set[str]:
    return {one.ip_address for one in found if one.ip_address}


class Credentials:
    """`buckets` hold what an address has left of signing up. `limited` False: everybody may always try."""

    def __init__(self, db: Database, passwords: Passwords, buckets: Buckets, *, limited: bool = True) -> None:
        self._db, self._passwords, self._buckets, self._limited = db, passwords, buckets, limited
        self.throttle = Throttle(enabled=limited)
        self._unknown_addresses: Recent[float] = Recent()
        """Until when a name and an address are taken to be strangers."""

    async def hash_for_signup(self, password: str, address: str | None) -> str:
        """Raises RateLimited for an address that opens account after account."""
        place = network(address) if self._limited else None
        wait = await self._buckets.take([Charge(f"signups:{place}", SIGNUPS)]) if place else 0
        if wait > 0:
            raise RateLimited("too many new accounts from one address", retry_after_ms=math.ceil(wait * 1000))
        return await self._passwords.hash(password)

    @asynccontextmanager
    async def verify_login(self, login: str, password: str, address: str | None) -> AsyncIterator[VerifiedPassword]:
        """Who signs in, by username or e-mail. Raises InvalidCredentials, RateLimited.

        What the proof is for is done inside, so that of a crowd at the door only one person at a time asks anything
        of the database and the loop.
        """
        await self._check_address(login, address)
        # The turn comes before the look at the account: a crowd at the door costs the others nothing, and nobody tries
        # again before the try before it has failed.
        async with self._passwords.slot():
            await self._check_address(login, address)  # again: those who waited in front may be of the same address
            found = await self._find_candidates(login)
            yield await self._verify(
                found[0] if found else None, password, throttle_keys(login, address, _known_addresses(found))
            )

    async def _check_address(self, login: str, address: str | None) -> None:
        """Raises RateLimited while the address has to wait, except for an account that has signed in from it before:
        whoever shares the address with its owner must not be able to lock it out."""
        try:
            self.throttle.check(throttle_keys(login, address, set())[1:])
        except RateLimited:
            if not await self._has_signed_in_from(login, address):
                raise

    async def _has_signed_in_from(self, login: str, address: str | None) -> bool:
        key, moment = (login.strip().casefold()[:MAX_LOGIN], network(address) or ""), time.monotonic()
        until = self._unknown_addresses.get(key)
        if until is not None and until > moment:
            return False
        is_known = throttle_keys(login, address, _known_addresses(await self._find_candidates(login)))[0][0] == "known"
        if not is_known:
            self._unknown_addresses.put(key, moment + UNKNOWN_ADDRESS_SECONDS)
        return is_known

    async def _find_candidates(self, login: str) -> Sequence[queries.LoginCandidate]:
        async with self._db.read() as session:
            return await queries.find_login_candidates(session, login)

    @asynccontextmanager
    async def limit_email_probing(
        self, email: str | None, address: str | None, actor: Actor | None = None
    ) -> AsyncIterator[None]:
        """Around whatever claims an e-mail address. An EmailTaken inside counts: it tells who has an account here.

        Raises RateLimited after a few of them, whether the address is taken or not.
        """
        place = network(address)
        keys = [("emails", place)] if place else []
        keys += [("emails", str(actor.user_id))] if actor else []
        if email is not None:
            self.throttle.check(keys)
        try:
            yield
        except EmailTaken:
            self.throttle.record_failure(keys)
            raise

    async def verify_password(self, actor: Actor, password: str, path: Sequence[str] = ()) -> VerifiedPassword:
        """That it is still the same person who asks. Raises InvalidCredentials, RateLimited."""
        async with self._passwords.slot():
            async with self._db.read() as session:
                user = (await queries.users_by_id(session, [actor.user_id])).get(actor.user_id)
            return await self._verify(user, password, [("session", str(actor.user_id))], path)

    async def _verify(
        self, user: User | queries.LoginCandidate | None, password: str, keys: Sequence[Key], path: Sequence[str] = ()
    ) -> VerifiedPassword:
        try:
            self.throttle.check(blocking_keys(keys))
        except RateLimited:  # whoever keeps knocking is soon not even asked at whose door
            self.throttle.record_failure(keys[1:])
            raise
        good, newer = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not good:
            self.throttle.record_failure(keys)
            raise InvalidCredentials("this is not the password of such an account", path=path)
        self.throttle.record_success(keys)
        return VerifiedPassword(user.id, user.password_hash, newer)
