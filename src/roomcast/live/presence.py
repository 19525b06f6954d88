"""Presence and typing in this process: what sockets, people, other processes and time do to them.

All of it is memory and best effort: nothing is stored, nothing takes a seq. What happens is gathered for a moment and
then told, to the other processes and to who watches here.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from roomcast.core.actor import Actor
from roomcast.core.db import Database
from roomcast.core.events import Event
from roomcast.live.presence_feeds import RoomPresenceFeed, RoomTypingFeed, WatchedMembers, end_typing, topic_of_typing
from roomcast.presence.devices import Devices
from roomcast.presence.peer_sync import Kind, PeerMessage, PeerSync, read_status, write_status
from roomcast.presence.people import People, Report, seconds
from roomcast.presence.status_updates import StatusUpdate, apply_status_update
from roomcast.presence.typing import TypingUsers
from roomcast.realtime.bus.bus import Bus, Frame
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.realtime.watchers import WatcherRegistry

TICK_SECONDS = 0.25
"""However much happens, a room says four times a second who is there and who types."""

BEAT_SECONDS = 5.0
"""How often a process says that it lives, which is a third of the grace if that is shorter."""

CALL_SECONDS = 1.0
"""A roll is called, and asked for, no more often."""

PRESENCE = "presence"
"""The topic of what processes tell each other of their people."""

GATHERED = Kind.CARDS, Kind.PEOPLE, Kind.IDLE, Kind.LEFT
"""What is told at each tick, in this order: who hides is not shown for a moment."""

log = logging.getLogger("roomcast.signals")


class PresenceService:
    """`grace_seconds`: how long people count as they were after their last socket, or their process, went. `clock` may
    be replaced, to let time pass."""

    def __init__(self, db: Database, bus: Bus, watch: WatcherRegistry, grace_seconds: float) -> None:
        self.clock = time.monotonic
        self.people, self.typists = People(), TypingUsers()
        self._db, self._bus, self._watch = db, bus, watch
        self._devices = Devices(grace_seconds)
        self._rolls = PeerSync(self.people, uuid.uuid4().hex[:12], grace_seconds)
        self._beat_seconds = min(BEAT_SECONDS, grace_seconds / 3)
        self._attendance = WatchedMembers(self.people)
        self._present: dict[UUID, RoomPresenceFeed] = {}
        self._typing: dict[UUID, RoomTypingFeed] = {}
        self._reported: dict[UUID, Report] = {}
        self._news: dict[Kind, dict[Any, Any]] = {kind: {} for kind in GATHERED}
        self._owes_roll = self._asks_all = False
        self._called_at = self._asked_at = self._beaten_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._bus.join(PRESENCE)
        self._task = asyncio.create_task(self._run(), name="signals")

    async def stop(self) -> None:
        """Nothing is said of it: people who do not come back elsewhere lapse."""
        watched: list[RoomPresenceFeed | RoomTypingFeed] = [*self._present.values(), *self._typing.values()]
        for room in watched:
            room.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self.tick()
            except Exception:  # the next one goes on
                log.exception("presence and typing could not be told")

    # ------------------------------------------------------------------ sockets

    def on_connect(self, actor: Actor) -> None:
        """A socket is this person's from here on."""
        self._devices.connect(actor.user_id, actor.session_id)
        self._look_at(actor.user_id)

    def on_disconnect(self, actor: Actor, *, for_good: bool) -> None:
        """It is not any more; `for_good`: nor will its session have another one."""
        if not self._devices.disconnect(actor.user_id, actor.session_id, self.clock()):
            return
        self.typists.leave(actor.session_id)
        self._news[Kind.LEFT][actor.session_id] = actor.session_id.hex
        if for_good:
            self._look_at(actor.user_id, self._devices.forget(actor.user_id, actor.session_id))

    def _look_at(self, user_id: UUID, active_at: int | None = None) -> None:
        report, before = self._devices.report(user_id), self._reported.get(user_id)
        if report == before:
            return
        active_at = active_at or seconds()
        if report is None:
            del self._reported[user_id]
            self.people.withdraw(self._rolls.process, user_id, active_at)
        else:
            self._reported[user_id] = report
            self.people.report(self._rolls.process, user_id, report)
        self._news[Kind.PEOPLE][user_id] = self._rolls.row(user_id, report, active_at)
        if before is None and self.people.card(user_id).at:
            self._tell_card(user_id)

    # ------------------------------------------------------------------ people

    def set_presence(self, actor: Actor, wish: StatusUpdate) -> None:
        """The person is shown so from now on. Raises ValidationFailed."""
        user_id, before = actor.user_id, self.people.card(actor.user_id)
        card = apply_status_update(before, wish, actor.session_id, time.time_ns() // 1_000_000)
        if card is not before:
            self.people.write(user_id, card)
            self._tell_card(user_id)
        if wish.is_idle is not None:
            self._set_idle(user_id, actor.session_id, idle=wish.is_idle)
            # The device may have its sockets in another process.
            self._news[Kind.IDLE][actor.session_id] = [user_id.hex, actor.session_id.hex, wish.is_idle]

    def _set_idle(self, user_id: UUID, session_id: UUID, *, idle: bool) -> None:
        self._devices.set_idle(user_id, session_id, idle=idle)
        self._look_at(user_id)

    def _tell_card(self, user_id: UUID) -> None:
        self._news[Kind.CARDS][user_id] = write_status(user_id, self.people.card(user_id))

    def set_typing(self, actor: Actor, room_id: UUID, *, typing: bool) -> None:
        """They type there, for some seconds; or they do not."""
        self._note_typing(room_id, actor.user_id, actor.session_id, typing=typing)
        said = [self._rolls.process, actor.user_id.hex, actor.session_id.hex, typing]
        self._bus.publish([Frame(topic_of_typing(room_id), 0, orjson.dumps(said).decode())])

    def _note_typing(self, room_id: UUID, user_id: UUID, session_id: UUID, *, typing: bool) -> None:
        if typing:
            self.typists.begin(room_id, user_id, session_id, self.clock())
        else:
            self.typists.end(room_id, user_id)

    def happened(self, events: Iterable[Event]) -> None:
        """This process has committed these: who has said it does not type it any more."""
        for event in events:
            if event.room_id in self.typists.rooms:
                end_typing(self.typists, event)

    # ------------------------------------------------------------------ who watches

    def presence_in(self, room_id: UUID) -> SnapshotFeed:
        """Who is in the room. To be followed at once, and forgotten when nobody does any more."""
        if room_id not in self._present:
            over = partial(self._unwatched, self._present, room_id)
            self._present[room_id] = RoomPresenceFeed(room_id, self._attendance, self._db, self._watch, over)
            self._present[room_id].open()
        return self._present[room_id].state

    def typing_in(self, room_id: UUID) -> SnapshotFeed:
        """Who types in the room; as `presence_in`."""
        if room_id not in self._typing:
            hear, over = partial(self._hear_typing, room_id), partial(self._unwatched, self._typing, room_id)
            self._typing[room_id] = RoomTypingFeed(room_id, self.typists, self._watch, hear, over)
            self._typing[room_id].open()
        return self._typing[room_id].state

    def _unwatched(self, rooms: dict[UUID, Any], room_id: UUID) -> None:
        rooms.pop(room_id).close()

    # ------------------------------------------------------------------ other processes

    def on_frame(self, frame: Frame) -> None:
        if frame.topic != PRESENCE:
            return
        try:
            line = self._rolls.receive(frame.body, self.clock())
            if line is not None:
                self._take(line)
        except (ValueError, KeyError, TypeError):
            log.warning("a line about presence is of another release, or a stranger's")

    def on_resync(self, topics: Collection[str]) -> None:
        """Lines may have been lost, in either direction."""
        if PRESENCE in topics:
            self._owes_roll = self._asks_all = True
            self._rolls.excuse(self.clock())

    def _take(self, line: PeerMessage) -> None:
        takes = {
            Kind.PEOPLE: self._correct,
            Kind.CARDS: self._take_card,
            Kind.IDLE: self._take_idle,
            Kind.LEFT: self._take_left,
        }
        if take := takes.get(line.kind):
            for item in line.items:
                take(item)
        elif line.kind is Kind.ASK and self._rolls.process in (line.items or [self._rolls.process]):
            self._owes_roll = True

    def _correct(self, row: Sequence[Any]) -> None:
        """Where the other process knows an older card of somebody than is known here, tell it."""
        person, _state, _since, card_at = row
        if self.people.card(user_id := UUID(person)).at > card_at:
            self._tell_card(user_id)

    def _take_card(self, item: Sequence[Any]) -> None:
        self.people.write(*read_status(*item))

    def _take_idle(self, item: Sequence[Any]) -> None:
        user_id, session_id, idle = item
        self._set_idle(UUID(user_id), UUID(session_id), idle=idle)

    def _take_left(self, session_id: str) -> None:
        self.typists.leave(UUID(session_id))

    def _hear_typing(self, room_id: UUID, body: str) -> None:
        process, user_id, session_id, typing = orjson.loads(body)
        if process != self._rolls.process:
            self._note_typing(room_id, UUID(user_id), UUID(session_id), typing=typing)

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """What time brings, and what has been gathered since the last time, is told."""
        clock = self.clock()
        for user_id, active_at in self._devices.expire(clock).items():
            self._look_at(user_id, active_at)
        if self._bus.connected:
            self._rolls.forget_dead(clock)
        else:
            self._rolls.excuse(clock)
        self._announce(clock)
        self._attendance.tell()
        self._tell_typing(clock)

    def _tell_typing(self, clock: float) -> None:
        self.typists.expire(clock)
        changed, self.typists.changed = self.typists.changed, set()
        for room_id in (changed | self.typists.rooms) & self._typing.keys():
            self._typing[room_id].tell(clock)

    def _announce(self, clock: float) -> None:
        lines = [*self._roll(clock), *self._gathered(), *self._questions(clock)]
        if lines or clock - self._beaten_at >= self._beat_seconds:
            self._beaten_at = clock
            self._bus.publish(Frame(PRESENCE, 0, line) for line in lines or self._rolls.lines(Kind.BEAT))

    def _gathered(self) -> list[str]:
        lines = [
            line for kind, items in self._news.items() if items for line in self._rolls.lines(kind, items.values())
        ]
        for items in self._news.values():
            items.clear()
        return lines

    def _roll(self, clock: float) -> list[str]:
        if not self._owes_roll or clock - self._called_at < CALL_SECONDS:
            return []
        self._owes_roll, self._called_at = False, clock
        people = [self._rolls.row(user_id, report, 0) for user_id, report in self._reported.items()]
        cards = [(user_id, self.people.card(user_id)) for user_id in self._reported]
        return [
            *self._rolls.lines(Kind.ROLL),
            *self._rolls.lines(Kind.CARDS, (write_status(*card) for card in cards if card[1].at)),
            *self._rolls.lines(Kind.PEOPLE, people),
            *self._rolls.lines(Kind.END),
        ]

    def _questions(self, clock: float) -> Sequence[str]:
        asked = self._rolls.doubted()
        if not (self._asks_all or asked) or clock - self._asked_at < CALL_SECONDS:
            return []
        asked, self._asks_all, self._asked_at = [] if self._asks_all else asked, False, clock
        return self._rolls.lines(Kind.ASK, asked)
