"""Sending messages: one call stores a group of messages in one transaction.

The path of a send: `send_messages` → `_load_send_state` (all reads, under the locks of the rooms' heads) → `_decide`
for each request → `_store_messages` (all writes).
"""

import hashlib
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
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
from roomcast.messages import mentions, policy, search, thread_states
from roomcast.messages.attachments import AttachmentClaims
from roomcast.messages.events import MessageCreated
from roomcast.messages.models import Message, MessageWithDigest
from roomcast.rooms import queries as rooms
from roomcast.rooms import read_state
from roomcast.rooms.models import Membership, Room
from roomcast.rooms.policy import may_read
from roomcast.uploads.actions import attach_to_messages
from roomcast.uploads.models import File
from roomcast.uploads.queries import lock_files_query

_MESSAGES = sa.select(table(Message)).where(table(Message).c.id.in_(sa.bindparam("ids", expanding=True)))
_INSERT = sa.insert(table(Message))
_BLANK = MessageWithDigest(**Message(room_id=UUID(int=0), created_at=now()).model_dump())
"""The columns that a new message does not set itself. Making a model of each message took as long as its SQL."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A request to send one message.

    `key`: the clientMessageId. `reply_to`, `thread_root` and `attachments`: global ids, as clients send them.
    `generated_id`: the id of a message without a key. It stays the same when the server retries after an uncertain
    commit, so that the retry finds the message that the first try may have stored.
    """

    actor: Actor
    room_id: UUID | None
    body: str
    key: UUID | None = None
    reply_to: str | None = None
    thread_root: str | None = None
    attachments: Sequence[str] = ()
    generated_id: UUID = field(default_factory=uuid7)

    @property
    def message_id(self) -> UUID:
        return self.key or self.generated_id

    def digest(self) -> str:
        """A hash of the content. It is stored for ever, so it must not depend on the machine or the version."""
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
    """A stored message. `replayed`: the same clientMessageId was sent before.

    `room`, `author` and `reply_to` are the rows that its transaction has read, so that an answer need not read them
    again. `attachments`: of a new message.
    """

    message: Message
    replayed: bool
    is_new: bool
    """False for a replay, and for a message without a key that an earlier, unconfirmed try has stored."""
    room: Room
    author: User | None = None
    reply_to: Message | None = None
    attachments: Sequence[File] = ()


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


async def send_messages(work: Work, requests: Sequence[NewMessage]) -> list[Sent | Refused]:
    """Store each message at the next seq of its room. Announces MessageCreated for each new message.

    A request with a known key returns the existing message before any policy is checked, as long as the actor can read
    the room. This also holds for two equal requests in one group. Each request has its own result: a refused request
    takes no seq and does not affect the others.

    Refuses with NotFound, NotAMember, RoomArchived, ReadOnly, Muted, SlowMode, ValidationFailed, MessageTooLong,
    IdempotencyKeyReused, AttachmentNotReady, Conflict (a file is already attached to a message), and with Unavailable
    when the work skips locked rooms and another transaction holds this room's lock.
    """
    state = await _load_send_state(work, requests)
    results: list[Sent | Refused] = []
    for request in requests:
        try:
            results.append(_decide(state, request))
        except Refused as refused:
            results.append(refused)
    created = [result.message for result in results if isinstance(result, Sent) and result.is_new]
    if created:
        stored = await _store_messages(work, created, state)
        results = [_as_stored(result, stored) for result in results]
        sent_at = {pair: state.memberships[pair].last_sent_at for pair in state.slow_mode_senders}
        await read_state.record_send_times(work, sent_at)
    if state.claims.claimed:
        await attach_to_messages(work, state.claims.claimed)
    return results


@dataclass(frozen=True, slots=True)
class SendState:
    """Everything that the decisions about a group of sends depend on.

    It is read under the locks of the rooms' heads, so it stays true until the commit. Each accepted request updates
    it: the next request of the group is decided as if the one before were stored.
    """

    rooms: Mapping[UUID, Room]
    memberships: dict[tuple[UUID, UUID], Membership]
    """By (room, author)."""
    authors: Mapping[UUID, User]
    messages: dict[UUID, Message]
    """The messages that a request refers to (its own id, its reply target, its thread root), and the group's own."""
    slow_mode_senders: set[tuple[UUID, UUID]]
    """(room, author) of each message that was accepted in a room with slow mode."""
    claims: AttachmentClaims
    skipped_room_ids: Collection[UUID]
    """Rooms whose heads another transaction has locked. This transaction cannot decide anything about them."""


async def _load_send_state(work: Work, requests: Sequence[NewMessage]) -> SendState:
    pairs = {(request.room_id, request.actor.user_id) for request in requests if request.room_id is not None}
    room_ids, author_ids = {room_id for room_id, _ in pairs}, {user_id for _, user_id in pairs}
    ids = [id_ for each in requests for id_ in (each.message_id, each.reply_to_id, each.thread_root_id)]
    # The lock comes first: all that is read after it is what the last committed change of these rooms left.
    heads, found, members, authors, known, files = await fetch_direct(
        work.session,
        event_log.heads_lock_query(room_ids, skip_locked=work.skips_locked_rooms),
        rooms.rooms_by_id.query(room_ids),
        rooms.memberships_by_key.query(pairs),
        accounts.users_by_id.query(author_ids),
        DirectQuery[Message](_MESSAGES, {"ids": list({id_ for id_ in ids if id_ is not None})}, MessageWithDigest),
        lock_files_query({id_ for request in requests for id_ in request.file_ids if id_ is not None}),
    )
    event_log.remember_locked_heads(work.session, heads)
    return SendState(
        {room.id: room for room in found},
        {(member.room_id, member.user_id): member for member in members},
        {author.id: author for author in authors},
        {message.id: message for message in known},
        set(),
        AttachmentClaims({file.id: file for file in files}),
        room_ids - {head.room_id for head in heads} if work.skips_locked_rooms else (),
    )


def _decide(state: SendState, request: NewMessage) -> Sent:
    room = state.rooms.get(request.room_id) if request.room_id else None
    membership = state.memberships.get((room.id, request.actor.user_id)) if room else None
    if room is None or not may_read(request.actor, room, membership):
        raise NotFound("There is no such room.", path=("input", "roomId"))
    if room.id in state.skipped_room_ids:
        raise Unavailable("Another change of this room is in progress. Try again.")
    if original := state.messages.get(request.message_id):
        policy.check_same_request(original, request.digest(), request.actor.user_id)
        return _sent(state, original, room, replayed=request.key is not None, is_new=False)
    policy.check_body(request.body, needs_text=not request.attachments)
    files = state.claims.check(request.actor, request.file_ids)
    message = _build_message(state, request, room)
    member = policy.check_send(request.actor, room, membership, message.created_at)
    if room.slow_mode_seconds:
        pair = room.id, request.actor.user_id
        state.memberships[pair] = with_values(member, last_sent_at=message.created_at)
        state.slow_mode_senders.add(pair)
    state.messages[message.id] = message
    state.claims.claim(files, message.id)
    attached = [
        with_values(state.claims.files[id_], message_id=message.id, position=number) for number, id_ in enumerate(files)
    ]
    return _sent(state, message, room, replayed=False, is_new=True, attachments=attached)


def _sent(state: SendState, message: Message, room: Room, **values: Any) -> Sent:
    author = state.authors.get(message.author_id) if message.author_id else None
    reply_to = state.messages.get(message.reply_to_id) if message.reply_to_id else None
    return Sent(message, room=room, author=author, reply_to=reply_to, **values)


def _as_stored(result: Sent | Refused, stored: Mapping[UUID, Message]) -> Sent | Refused:
    """The result with the messages of the group as they were stored, which have a seq."""
    if isinstance(result, Refused):
        return result
    message, target = result.message, result.reply_to
    return replace(
        result, message=stored.get(message.id, message), reply_to=stored.get(target.id, target) if target else None
    )


def _build_message(state: SendState, request: NewMessage, room: Room) -> Message:
    if request.reply_to is not None:
        policy.check_reply_to(room, state.messages.get(request.reply_to_id) if request.reply_to_id else None)
    if request.thread_root is not None:
        policy.check_thread_root(room, state.messages.get(request.thread_root_id) if request.thread_root_id else None)
    return with_values(
        _BLANK,
        id=request.message_id,
        room_id=room.id,
        author_id=request.actor.user_id,
        body=request.body,
        reply_to_id=request.reply_to_id,
        thread_root_id=request.thread_root_id,
        mentions_room=mentions.find_mentions(request.body).room,
        has_attachments=bool(request.attachments),
        content_digest=request.digest(),
        created_at=now(),
    )


async def _store_messages(work: Work, created: Sequence[Message], state: SendState) -> Mapping[UUID, Message]:
    """Record the events, which gives each message its seq, then write the rows. Returns the messages by id."""
    events = [
        MessageCreated(
            room_id=message.room_id,
            at=message.created_at,
            message_id=message.id,
            thread_root_id=message.thread_root_id,
            fresh=message,
            author=state.authors.get(message.author_id) if message.author_id else None,
        )
        for message in created
    ]
    messages = [event.fresh for event in await work.record_all(events) if event.fresh is not None]
    await execute_direct(work.session, _INSERT, [as_dict(message) for message in messages])
    mentioned = await mentions.store_mentions(work.session, messages)
    await thread_states.update_followers(work.session, messages, mentioned, state.messages)
    await search.index_messages(work, messages)
    # An author has read the room up to their own message. A thread reply does not count: the author may not have
    # read the room's main history.
    positions = {(m.room_id, m.author_id): m.seq for m in messages if m.author_id and m.thread_root_id is None}
    await read_state.advance_read_positions(work, positions)
    return {message.id: message for message in messages}
