"""Changes to messages."""

import hashlib
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

import orjson
import sqlalchemy as sa

from roomcast.accounts import queries as accounts
from roomcast.accounts.models import User
from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.columns import table
from roomcast.core.db import Work
from roomcast.core.direct_queries import DirectQuery, as_dict, execute_direct, fetch_direct, with_values
from roomcast.core.errors import NotFound, Refused, Unavailable
from roomcast.core.group_commit import GroupCommit
from roomcast.core.ids import local_id, uuid7
from roomcast.messages import mentions, policy, search
from roomcast.messages.attachments import AttachmentClaims
from roomcast.messages.events import MessageCreated
from roomcast.messages.models import Message
from roomcast.rooms import queries as rooms
from roomcast.rooms import read_state
from roomcast.rooms.models import Membership, Room
from roomcast.rooms.policy import may_read
from roomcast.uploads.actions import attach_to_messages
from roomcast.uploads.queries import lock_files_query

REMEMBERED = 1_000
"""Authors at hand, as everybody may see them."""

_MESSAGES = sa.select(table(Message)).where(table(Message).c.id.in_(sa.bindparam("ids", expanding=True)))
_INSERT = sa.insert(table(Message))


@dataclass(frozen=True, slots=True)
class NewMessage:
    """One wish to say something. `key`: the clientMessageId. `reply_to` and `thread_root`: ids as clients know
    them. `made_id` identifies a message without a key, so that the server can repeat it after an uncertain commit."""

    actor: Actor
    room_id: UUID | None
    body: str
    key: UUID | None = None
    reply_to: str | None = None
    thread_root: str | None = None
    attachments: Sequence[str] = ()
    made_id: UUID = field(default_factory=uuid7)

    @property
    def message_id(self) -> UUID:
        return self.key or self.made_id

    def digest(self) -> str:
        """Names the content: the same wish again has the same digest, on any machine, in any year."""
        content = [str(self.room_id), self.body, self.reply_to, self.thread_root, *self.attachments]
        return hashlib.sha256(orjson.dumps(content)).hexdigest()

    @property
    def reply_to_id(self) -> UUID | None:
        return local_id("msg", self.reply_to) if self.reply_to is not None else None

    @property
    def thread_root_id(self) -> UUID | None:
        return local_id("msg", self.thread_root) if self.thread_root is not None else None

    @property
    def file_ids(self) -> list[UUID | None]:
        return [local_id("file", text) for text in self.attachments]


@dataclass(frozen=True, slots=True)
class Sent:
    message: Message
    replayed: bool
    is_new: bool
    """False also for a message without a key that an earlier try has stored, whose commit was not confirmed."""


class MessageSender(GroupCommit[NewMessage, Sent]):
    """Sends messages. Those that arrive while one transaction commits share the next one."""

    uses_lanes = True

    async def send(self, new_message: NewMessage) -> Sent:
        """Send one message. Raises what `send_messages` refuses it with, Unavailable or OutcomeUnknown."""
        return await self.submit(new_message)

    async def run_group(self, work: Work, calls: Sequence[NewMessage]) -> Sequence[Sent | Refused]:
        return await send_messages(work, calls)

    def lane(self, call: NewMessage) -> Hashable:
        return call.room_id


async def send_messages(work: Work, wishes: Sequence[NewMessage]) -> list[Sent | Refused]:
    """Store each message at the next seq of its room; announces MessageCreated for the new ones.

    A known key is answered with the message it made, before any policy, as long as its room is readable; within the
    group too. Each wish is answered on its own: a refused one takes no seq and hinders none of the others.
    Refuses with Unavailable where the work skips locked rooms and this one is; NotFound, NotAMember, RoomArchived,
    ReadOnly, Muted, SlowMode, ValidationFailed, MessageTooLong, IdempotencyKeyReused, AttachmentNotReady, Conflict for
    a file that is used already.
    """
    desk = await _open_desk(work, wishes)
    answers = [_answer(desk, wish) for wish in wishes]
    fresh = [answer.message for answer in answers if isinstance(answer, Sent) and answer.is_new]
    if fresh:
        await _store(work, fresh, desk.authors)
        await read_state.record_send_times(work, {pair: desk.memberships[pair].last_sent_at for pair in desk.paced})
    if desk.claims.claimed:
        await attach_to_messages(work, desk.claims.claimed)
    return answers


@dataclass(frozen=True, slots=True)
class SendState:
    """All that a group of sends is decided on, read under the lock of its rooms' heads and kept up as it is decided."""

    rooms: Mapping[UUID, Room]
    memberships: dict[tuple[UUID, UUID], Membership]
    authors: Mapping[UUID, User]
    """What everybody may see of them."""
    messages: dict[UUID, Message]
    """Those that a wish names, as its own key or as what it answers, and those of the group itself."""
    paced: set[tuple[UUID, UUID]]
    """By (room, author): whose pace is watched and who has said something."""
    claims: AttachmentClaims
    skipped: Collection[UUID]
    """Rooms whose heads others have locked: nothing can be decided about them in this transaction."""


async def _open_desk(work: Work, wishes: Sequence[NewMessage]) -> SendState:
    pairs = {(wish.room_id, wish.actor.user_id) for wish in wishes if wish.room_id is not None}
    room_ids, people = {room_id for room_id, _ in pairs}, {user_id for _, user_id in pairs}
    named = {
        id_ for wish in wishes for id_ in (wish.message_id, wish.reply_to_id, wish.thread_root_id) if id_ is not None
    }
    heads, found, members, authors, known, files = await fetch_direct(
        work.session,
        event_log.heads_lock_query(room_ids, skip_locked=work.skips_locked_rooms),
        rooms.rooms_query(room_ids),
        rooms.memberships_query(pairs),
        accounts.public_profiles_query(people),
        DirectQuery(_MESSAGES, {"ids": list(named)}),
        lock_files_query({id_ for wish in wishes for id_ in wish.file_ids if id_ is not None}),
    )
    event_log.remember_locked_heads(work.session, heads)
    return SendState(
        {room.id: room for room in found},
        {(member.room_id, member.user_id): member for member in members},
        {author.id: _person(author) for author in authors},
        {message.id: message for message in known},
        set(),
        AttachmentClaims({file.id: file for file in files}),
        room_ids - {head.room_id for head in heads} if work.skips_locked_rooms else (),
    )


@lru_cache(maxsize=REMEMBERED)
def _person(shown: User) -> User:
    """A model of what was asked for: making one costs more than asking, and most is said by who spoke before."""
    return User(**as_dict(shown))


def _answer(desk: SendState, wish: NewMessage) -> Sent | Refused:
    try:
        return _decide(desk, wish)
    except Refused as refused:
        return refused


def _decide(desk: SendState, wish: NewMessage) -> Sent:
    room = desk.rooms.get(wish.room_id) if wish.room_id else None
    membership = desk.memberships.get((room.id, wish.actor.user_id)) if room else None
    if room is None or not may_read(wish.actor, room, membership):
        raise NotFound("no such room", path=("input", "roomId"))
    if room.id in desk.skipped:
        raise Unavailable("Another change of this room is under way.")
    if original := desk.messages.get(wish.message_id):
        policy.check_same(original, wish.digest(), wish.actor.user_id)
        found = original if isinstance(original, Message) else Message(**as_dict(original))
        return Sent(found, replayed=wish.key is not None, is_new=False)
    policy.check_body(wish.body, bare=not wish.attachments)
    files = desk.claims.check(wish.actor, wish.file_ids)
    message = _written(desk, wish, room)
    member = policy.check_send(wish.actor, room, membership, message.created_at)
    if room.slow_mode_seconds:
        pair = room.id, wish.actor.user_id
        desk.memberships[pair] = with_values(member, last_sent_at=message.created_at)
        desk.paced.add(pair)
    desk.messages[message.id] = message
    desk.claims.claim(files, message.id)
    return Sent(message, replayed=False, is_new=True)


def _written(desk: SendState, wish: NewMessage, room: Room) -> Message:
    if wish.reply_to is not None:
        policy.check_reply_to(room, desk.messages.get(wish.reply_to_id) if wish.reply_to_id else None)
    if wish.thread_root is not None:
        policy.check_thread_root(room, desk.messages.get(wish.thread_root_id) if wish.thread_root_id else None)
    return Message(
        id=wish.message_id,
        room_id=room.id,
        author_id=wish.actor.user_id,
        body=wish.body,
        reply_to_id=wish.reply_to_id,
        thread_root_id=wish.thread_root_id,
        mentions_room=mentions.find_mentions(wish.body).room,
        has_attachments=bool(wish.attachments),
        content_digest=wish.digest(),
        created_at=now(),
    )


async def _store(work: Work, messages: Sequence[Message], authors: Mapping[UUID, User]) -> None:
    events = [_created(message, authors) for message in messages]
    for message, event in zip(messages, await work.record_all(events), strict=True):
        message.seq = event.seq
    await execute_direct(work.session, _INSERT, [message.model_dump() for message in messages])
    await mentions.store_mentions(work.session, messages)
    await search.index_messages(work, messages)
    # Who says something in a room has read it; a reply in a thread says nothing of the room's own talk.
    await read_state.move_marks(work, _read_by_writing(messages))


def _created(message: Message, authors: Mapping[UUID, User]) -> MessageCreated:
    return MessageCreated(
        room_id=message.room_id,
        at=message.created_at,
        message_id=message.id,
        thread_root_id=message.thread_root_id,
        fresh=message,
        author=authors.get(message.author_id) if message.author_id else None,
    )


def _read_by_writing(messages: Sequence[Message]) -> dict[tuple[UUID, UUID], int]:
    """By (room, author)."""
    return {(m.room_id, m.author_id): m.seq for m in messages if m.author_id and m.thread_root_id is None}
