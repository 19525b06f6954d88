"""Tells people's browsers what they missed: reads the log behind its own cursor and sends, beside everything else.

Nobody who sends a message waits for it or tells it anything: it looks for itself, three times in the time that it lets
people read by themselves. Any number of processes look; each push is sent by one of them, at least once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.notifications import actions, pending, policy, unseen
from roomcast.notifications.payloads import PushPayload, build_payloads
from roomcast.notifications.pending import Claim, Done, PushSettler
from roomcast.notifications.push_message import PushMessage, PushOutcome, PushResult

if TYPE_CHECKING:
    from roomcast.notifications.sender import Sender

LOOKS = 3
"""In the time that people get to read by themselves."""

ROOMS = 50
"""Looked into at once. Nobody who writes waits for that; only for what was found to be written down."""

SENDING, CLAIMED, OF_HOST = 100, 20, 20
"""Pushes on their way at once; taken up at once; to one host before it gets no more for now."""


log = logging.getLogger("roomcast.notifications")


class Notifier:
    """`delay`: how long people get to read a message by themselves. `open_sender` is called once, in a thread, when
    there is something to send: what it imports is large."""

    def __init__(self, db: Database, open_sender: Callable[[], "Sender"], delay: timedelta) -> None:
        self._db, self._open_sender, self._delay = db, open_sender, delay
        self._opening = asyncio.Lock()
        self._sender: Sender | None = None
        self._sending: dict[asyncio.Task[None], str] = {}
        self._settler = PushSettler(db)
        self.stats: Counter[str] = Counter()
        """What became of pushes since the start, by Fate; only ever rising."""

    @property
    def look_seconds(self) -> float:
        """How often to look."""
        return self._delay.total_seconds() / LOOKS

    async def sender(self) -> "Sender":
        async with self._opening:
            if self._sender is None:
                self._sender = await asyncio.to_thread(self._open_sender)
            return self._sender

    async def close(self) -> None:
        """What is on its way is given up here, and sent again by whoever looks when its lease is over."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._settler.close()
        if self._sender is not None:
            await self._sender.close()

    async def scan(self) -> None:
        await self.gather()
        await self.deliver()

    async def idle(self) -> None:
        """Wait until nothing is on its way."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def sweep(self) -> None:
        async with self._db.work() as work:
            await actions.sweep(work, now())

    async def gather(self) -> None:
        """What is news in the log is pending, all of it."""
        rooms = None
        while rooms is None or len(rooms) == ROOMS:
            async with self._db.read() as session:
                rooms = await unseen.rooms_behind(session, ROOMS)
                if not rooms:
                    return
                found = await pending.find(session, rooms, now())
            try:
                async with self._db.work() as work:
                    await pending.keep(work, found, self._delay)
            except IntegrityError:  # another process is at it
                return

    # ------------------------------------------------------------------ sending

    async def deliver(self) -> None:
        """Everything that is due now is on its way, or was, or waits for a push service that has enough to do."""
        while await self._send_some():
            while len(self._sending) >= SENDING:
                await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)

    async def _send_some(self) -> bool:
        """Whether anything was taken up."""
        async with self._db.read() as session:
            if not await pending.is_due(session, now()):
                return False
        room = min(CLAIMED, SENDING - len(self._sending))
        busy = [host for host, count in Counter(self._sending.values()).items() if count >= OF_HOST]
        async with self._db.work() as work:
            claims = await pending.claim(work, now(), room, busy)
        if claims:
            await self._send(claims)
        return bool(claims)

    async def _send(self, claims: Sequence[Claim]) -> None:
        async with self._db.read() as session:
            told = await build_payloads(session, claims, now())
        for claim in claims:
            task = asyncio.create_task(self._say(claim, told.get(claim.key)), name="push")
            self._sending[task] = claim.subscription.host
            task.add_done_callback(self._sending.pop)

    async def _say(self, claim: Claim, notice: PushPayload | None) -> None:
        try:
            if notice is None:
                await self._settler.submit(self._over(claim, claim.newest_seq))
            else:
                await self._push(claim, notice)
        except Exception:  # its lease ends, and then it is tried again
            log.exception("a push could not be settled")

    async def _push(self, claim: Claim, notice: PushPayload) -> None:
        letter = PushMessage(notice.payload, policy.topic(*claim.key), notice.urgent)
        sender = await self.sender()
        answer = await sender.push(claim.subscription, letter)
        self.stats[answer.outcome] += 1
        await self._take(claim, notice, answer)

    async def _take(self, claim: Claim, notice: PushPayload, answer: PushResult) -> None:
        if answer.outcome == PushOutcome.GONE:
            async with self._db.work() as work:
                await actions.forget(work, claim.subscription.id)
        elif answer.outcome == PushOutcome.LATER and claim.attempts + 1 < policy.MAX_ATTEMPTS:
            again_at = now() + policy.pause(self._delay, claim.attempts, answer.after)
            await self._settler.submit(Done(claim, notice.newest_seq, again_at, failed=True))
        else:
            await self._settler.submit(self._over(claim, notice.newest_seq))

    def _over(self, claim: Claim, said_seq: int) -> Done:
        return Done(claim, said_seq, now() + self._delay)
