"""Verifies passwords. Failed attempts are throttled, and unknown usernames behave exactly like known ones."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from roomcast.accounts import queries
from roomcast.accounts.models import User
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.throttle import (
    MAX_KEYS,
    MAX_LOGIN,
    AccountLimits,
    Block,
    Key,
    Throttle,
    blocking_keys,
    network,
    throttle_keys,
)
from roomcast.core.actor import Actor
from roomcast.core.bounded_cache import BoundedCache
from roomcast.core.db import Database
from roomcast.core.errors import EmailTaken, InvalidCredentials, RateLimited, Refused
from roomcast.core.rates import Buckets, Charge, ClientAddresses
from roomcast.core.refusals import Refusals


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """The password matched `verified_hash`. `newer_hash`: a hash to store instead; None if it is up to date."""

    user_id: UUID
    verified_hash: str
    newer_hash: str | None


TOO_MANY_FAILURES = "Too many failed attempts; wait and try again."

UNKNOWN_ADDRESS_SECONDS = 60.0
"""How long it is cached that an account has not signed in from an address. While the address is blocked, each username
is looked up once in this time."""


def _known_addresses(found: Sequence[queries.LoginCandidate]) -> set[str]:
    return {one.ip_address for one in found if one.ip_address}


class Credentials:
    """`buckets` count sign-ups by address."""

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        limits: AccountLimits,
        buckets: Buckets,
        addresses: ClientAddresses,
        refusals: Refusals,
    ) -> None:
        self._db, self._passwords, self._buckets, self._limits = db, passwords, buckets, limits
        self._addresses, self._refusals = addresses, refusals
        self.throttle = Throttle(limits)
        self.sign_ins: Counter[str] = Counter({"OK": 0, "INVALID_CREDENTIALS": 0, "RATE_LIMITED": 0})
        """Sign-ins with a password, by the code of their outcome."""
        self._unknown_addresses: BoundedCache[Key, float] = BoundedCache(MAX_KEYS)
        """By username and address: until when the result of the last look-up is used."""

    async def hash_for_signup(self, password: str, address: str | None) -> str:
        """Hash the password of a new account. Raises RateLimited if the address has created too many accounts."""
        counted, rate = self._addresses.limited(address), self._limits.signups_per_address
        if counted and rate is not None:
            limit = "signups_per_address"
            shortage = await self._buckets.take([Charge(limit, counted, rate)])
            if shortage is not None:
                raise self._refusal("Too many new accounts from one address.", Block(limit, shortage.seconds), address)
        return await self._passwords.hash(password)

    def _refusal(self, message: str, block: Block, caller: object) -> RateLimited:
        """`caller`: an address or the id of a user. Never the name with which somebody signs in: it may be a password
        that was typed into the wrong field."""
        self._refusals.count(block.limit, caller)
        return RateLimited(message, retry_after_ms=math.ceil(block.seconds * 1000))

    @asynccontextmanager
    async def verify_login(self, login: str, password: str, address: str | None) -> AsyncIterator[VerifiedPassword]:
        """Verify a login by username or e-mail address. Raises InvalidCredentials, RateLimited.

        Callers create the session inside the block, while they hold the slot. So during a flood of logins only one at
        a time uses the database and the event loop.
        """
        try:
            async with self._verify_login(login, password, address) as verified:
                yield verified
        except Refused as refused:
            self.sign_ins[refused.code] += 1
            raise
        self.sign_ins["OK"] += 1

    @asynccontextmanager
    async def _verify_login(self, login: str, password: str, address: str | None) -> AsyncIterator[VerifiedPassword]:
        await self._check_address(login, address)
        # The slot is taken before the account is read: a flood of logins then costs other requests nothing, and a
        # client cannot start a second attempt before its first one has been counted as failed.
        async with self._passwords.slot():
            await self._check_address(login, address)  # again: the address may have failed during the wait
            found = await self._find_candidates(login)
            keys = throttle_keys(login, address, _known_addresses(found), trusted=self._addresses.is_trusted(address))
            yield await self._verify(found[0] if found else None, password, keys, address)

    async def _check_address(self, login: str, address: str | None) -> None:
        """Raises RateLimited while the address is blocked.

        Accounts that have signed in from this address before are exempt, so that others behind the same address cannot
        lock them out.
        """
        counted = self._addresses.limited(address)
        block = self.throttle.find_block([("address", counted)]) if counted else None
        if block is None:
            return
        key, moment = (login.strip().casefold()[:MAX_LOGIN], network(address) or ""), time.monotonic()
        until = self._unknown_addresses.get(key)
        if until is None or until <= moment:
            known_addresses = _known_addresses(await self._find_candidates(login))
            if throttle_keys(login, address, known_addresses)[0][0] == "known":
                return
            self._unknown_addresses.put(key, moment + UNKNOWN_ADDRESS_SECONDS)
        raise self._refusal(TOO_MANY_FAILURES, block, address)

    async def _find_candidates(self, login: str) -> Sequence[queries.LoginCandidate]:
        async with self._db.read() as session:
            return await queries.find_login_candidates(session, login)

    @asynccontextmanager
    async def limit_email_probing(
        self, email: str | None, address: str | None, actor: Actor | None = None
    ) -> AsyncIterator[None]:
        """Wrap a change that sets an e-mail address. Each EmailTaken inside is counted: it reveals who has an account.

        Raises RateLimited after a few of them, whether or not the address is taken.
        """
        counted = self._addresses.limited(address)
        keys = [("emails of address", counted)] if counted else []
        keys += [("emails of user", str(actor.user_id))] if actor else []
        block = self.throttle.find_block(keys) if email is not None else None
        if block is not None:
            raise self._refusal(TOO_MANY_FAILURES, block, actor.user_id if actor else address)
        try:
            yield
        except EmailTaken:
            self.throttle.record_failure(keys)
            raise

    async def verify_password(self, actor: Actor, password: str, path: Sequence[str] = ()) -> VerifiedPassword:
        """Verify the actor's own password before a sensitive change. Raises InvalidCredentials, RateLimited."""
        async with self._passwords.slot():
            async with self._db.read() as session:
                user = await session.get(User, actor.user_id)
            return await self._verify(user, password, [("session", str(actor.user_id))], actor.user_id, path)

    async def _verify(
        self,
        user: User | queries.LoginCandidate | None,
        password: str,
        keys: Sequence[Key],
        caller: object,
        path: Sequence[str] = (),
    ) -> VerifiedPassword:
        block = self.throttle.find_block(blocking_keys(keys))
        if block is not None:
            # Blocked attempts count against the address, so a flood is soon stopped in _check_address.
            self.throttle.record_failure(keys[1:])
            raise self._refusal(TOO_MANY_FAILURES, block, caller)
        is_correct, newer_hash = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not is_correct:
            self.throttle.record_failure(keys)
            raise InvalidCredentials("This password does not match the account.", path=path)
        self.throttle.record_success(keys)
        return VerifiedPassword(user.id, user.password_hash, newer_hash)
