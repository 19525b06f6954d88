"""The notifier: sends web pushes for messages that their recipients have not seen.

It reads the event log behind a position of its own, three times per push delay, so that sending a message neither waits
for it nor signals it. Any number of processes may scan. Each push is sent by one of them, at least once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.notifications import actions, pending, policy, unseen
from roomcast.notifications.payloads import PushPayload, build_payloads
from roomcast.notifications.pending import Claim, PushSettler, Settlement
from roomcast.notifications.push_message import PushMessage, PushOutcome

if TYPE_CHECKING:
    from roomcast.notifications.sender import PushSender

SCANS_PER_DELAY = 3
"""Scans in the time that recipients get to read a message before a push is sent."""

ROOMS_PER_SCAN = 50
"""Rooms per transaction. Scanning blocks no sender; storing the findings locks the rooms' push positions only."""

MAX_SENDING, MAX_CLAIMED, MAX_PER_HOST = 100, 20, 20
"""Pushes in flight; pushes claimed in one transaction; pushes in flight to one host before it gets no further ones."""


logger = logging.getLogger("roomcast.notifications")


class Notifier:
    """`delay`: how long recipients get to read a message before a push is sent. `open_sender` is called once, in a
    thread, before the first push: the modules it imports are large."""

    def __init__(self, db: Database, open_sender: Callable[[], "PushSender"], delay: timedelta) -> None:
        self._db, self._open_sender, self._delay = db, open_sender, delay
        self._opening = asyncio.Lock()
        self._sender: PushSender | None = None
        self._sending: dict[asyncio.Task[None], str] = {}
        self._settler = PushSettler(db)
        self.stats: Counter[str] = Counter(dict.fromkeys(PushOutcome, 0))
        """Results of pushes since the start, by PushOutcome. The counts only rise."""

    @property
    def scan_interval_seconds(self) -> float:
        """How often `scan` is to be called."""
        return self._delay.total_seconds() / SCANS_PER_DELAY

    async def sender(self) -> "PushSender":
        async with self._opening:
            if self._sender is None:
                self._sender = await asyncio.to_thread(self._open_sender)
            return self._sender

    async def close(self) -> None:
        """Cancel the pushes in flight. Another process sends them again when their leases end."""
        # The tasks first: each of them may be waiting for the group commit that is closed after them.
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._settler.close()
        if self._sender is not None:
            await self._sender.close()

    async def scan(self) -> None:
        await self.collect()
        await self.deliver()

    async def idle(self) -> None:
        """Wait until no push is in flight."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def delete_expired_subscriptions(self) -> None:
        async with self._db.work() as work:
            await actions.delete_expired_subscriptions(work, now())

    async def collect(self) -> None:
        """Read the new part of all logs and store the pushes that follow from it."""
        rooms = None
        while rooms is None or len(rooms) == ROOMS_PER_SCAN:
            async with self._db.read() as session:
                rooms = await unseen.rooms_behind(session, ROOMS_PER_SCAN)
                if not rooms:
                    return
                findings = await pending.scan_logs(session, rooms, now())
            try:
                async with self._db.work() as work:
                    await pending.store_findings(work, findings, self._delay)
            except IntegrityError:  # Another process is scanning the same rooms.
                return

    # ------------------------------------------------------------------ sending

    async def deliver(self) -> None:
        """Start sending everything that is due, except to hosts that have enough in flight."""
        while await self._claim_and_send():
            while len(self._sending) >= MAX_SENDING:
                await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)

    async def _claim_and_send(self) -> bool:
        """Whether anything was claimed."""
        async with self._db.read() as session:
            if not await pending.has_due(session, now()):
                return False
        limit = min(MAX_CLAIMED, MAX_SENDING - len(self._sending))
        busy = [host for host, count in Counter(self._sending.values()).items() if count >= MAX_PER_HOST]
        async with self._db.work() as work:
            claims = await pending.claim_due(work, now(), limit, busy)
        if not claims:
            return False
        async with self._db.read() as session:
            payloads = await build_payloads(session, claims, now())
        for claim in claims:
            task = asyncio.create_task(self._send_and_settle(claim, payloads.get(claim.key)), name="push")
            self._sending[task] = claim.subscription.host
            task.add_done_callback(self._sending.pop)
        return True

    async def _send_and_settle(self, claim: Claim, payload: PushPayload | None) -> None:
        try:
            if payload is None:
                await self._settler.submit(self._settlement(claim, claim.newest_seq))
                return
            message = PushMessage(payload.payload, policy.push_topic(*claim.key), payload.urgent)
            sender = await self.sender()
            result = await sender.push(claim.subscription, message)
            self.stats[result.outcome] += 1
            if result.outcome == PushOutcome.GONE:
                async with self._db.work() as work:
                    await actions.delete_subscription(work, claim.subscription.id)
            elif result.outcome == PushOutcome.RETRY_LATER and claim.attempts + 1 < policy.MAX_ATTEMPTS:
                due_again_at = now() + policy.retry_delay(self._delay, claim.attempts, result.retry_after)
                await self._settler.submit(Settlement(claim, payload.newest_seq, due_again_at, failed=True))
            else:
                await self._settler.submit(self._settlement(claim, payload.newest_seq))
        except Exception:  # The lease ends, and then the push is due again.
            logger.exception(
                "The result of a push to %s could not be stored; it is sent again when its lease ends",
                claim.subscription.host,
            )

    def _settlement(self, claim: Claim, seen_seq: int) -> Settlement:
        return Settlement(claim, seen_seq, now() + self._delay)
