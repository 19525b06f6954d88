"""What a resolver gets: one context per operation, and per event of a subscription; never one per connection."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from roomcast.accounts import queries as accounts
from roomcast.accounts.credentials import Credentials
from roomcast.accounts.models import Session, User
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.sessions import Sessions
from roomcast.accounts.tokens import Tokens
from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.audit import AuditEntry
from roomcast.core.db import Database, Snapshot
from roomcast.core.epoch import Epoch
from roomcast.core.errors import Unauthenticated
from roomcast.core.event_log import Position, RoomHead
from roomcast.core.group_commit import GroupCommit
from roomcast.live.inbox_reconciler import InboxReconciler
from roomcast.live.presence import PresenceService
from roomcast.messages import mentions, reactions, threads
from roomcast.messages import queries as messages
from roomcast.messages.actions import NewMessage, Sent
from roomcast.messages.models import Message
from roomcast.moderation import queries as moderation
from roomcast.notifications.notifier import Notifier
from roomcast.presence import queries as presence
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.receipts import queries as receipts
from roomcast.rooms import queries as rooms
from roomcast.rooms.models import Membership, Room
from roomcast.uploads import queries as files
from roomcast.uploads.links import Links
from roomcast.uploads.models import File

Key = TypeVar("Key")
Row = TypeVar("Row")

BATCH = 500
"""Keys of one statement of a loader."""

SHARED = {"shared": True}
"""Metadata of a field whose value is the same for everybody who may see it: it may be executed once for a group."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The product below the edge, as `app.py` put it together."""

    db: Database
    epoch_tracker: Epoch
    tokens: Tokens
    passwords: Passwords
    credentials: Credentials
    sessions: Sessions
    account_rules: AccountRules
    send: GroupCommit[NewMessage, Sent]
    watchers: WatcherRegistry
    inbox_reconciler: InboxReconciler
    presence: PresenceService
    links: Links
    max_upload_bytes: int
    upload_quota_bytes: int
    max_response_bytes: int
    notifier: Notifier | None = None
    members_may_create_rooms: bool = True
    public_url: str | None = None

    @property
    def epoch(self) -> UUID:
        """In which cursors are made, and count."""
        return self.epoch_tracker.current


@dataclass(frozen=True, slots=True)
class Caller:
    """Where an operation comes from.

    `origin`: the web address at which the client found us. Only sockets have: `adopt`, which makes the socket the
    session's own after a sign-in, and `resume`, the cursor that the client sent for a room and field when it connected
    (used up once a stream has started from it).
    """

    request_id: str
    ip_address: str | None = None
    on_sign_in: Callable[[Actor], None] | None = None
    resume_cursor: Callable[[str, str], str | None] | None = None
    origin: str | None = None


Maybe: TypeAlias = Row | Awaitable[Row]
"""What a field shows, or what to await for it."""

PENDING = (CoroutineType, asyncio.Future)
"""All that is ever awaited for a field."""


def map_maybe(found: Maybe[Row], take: Callable[[Row], Key]) -> Maybe[Key]:
    """`take` of what was found, now if it is there."""
    return _later(found, take) if isinstance(found, PENDING) else take(found)  # type: ignore[arg-type]


async def _later(found: Awaitable[Row], take: Callable[[Row], Key]) -> Key:
    return take(await found)


class Loader(DataLoader[Key, Row | None]):
    """A batch loader that does not let anybody wait for what is there: a task for each field of each row of a page
    costs more than all the rest of it."""

    def __init__(self, ask: Callable[[list[Key]], Awaitable[Sequence[Row | None]]]) -> None:
        super().__init__(ask, max_batch_size=BATCH)
        self._ask = ask
        self._known: dict[Key, Row | None] = {}

    def load_now(self, key: Key) -> Maybe[Row | None]:
        """The row under this key; what to await for it where it has not been loaded yet."""
        try:
            return self._known[key]
        except KeyError:
            return self.load(key)

    def load(self, key: Key) -> Awaitable[Row | None]:
        if key not in self._known:
            return super().load(key)
        found: asyncio.Future[Row | None] = self.loop.create_future()
        found.set_result(self._known[key])
        return found

    def prime(self, key: Key, value: Row | None, force: bool = False) -> None:
        """The row under this key is known; the first one that is said stays, unless `force`."""
        if force or key not in self._known:
            self._known[key] = value

    async def prefetch(self, keys: Iterable[Key]) -> None:
        """Load these now."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._known]
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            self._known.update(zip(batch, await self._ask(batch), strict=True))


class Prefetch(NamedTuple):
    """What fields of these names ask a loader for."""

    fields: frozenset[str]
    loader: Loader[Any, Any]
    keys: Iterable[Any]


class Context:
    """The operation's viewer, its one snapshot of the data, and loaders that live no longer than both.

    `words`: every name in the document. `beside`: whose snapshot it shares, and the rows that were loaded from it. What
    a loader finds depends on its key alone, and the key names the person where it is a person's.
    """

    def __init__(
        self,
        backend: Backend,
        viewer: Actor | None,
        caller: Caller,
        beside: "Context | None" = None,
        field_names: Collection[str] = frozenset(),
    ) -> None:
        self.backend, self.caller, self._field_names = backend, caller, field_names
        self.viewer = replace(viewer, ip_address=caller.ip_address) if viewer and caller.ip_address else viewer
        self.snapshot: Snapshot = beside.snapshot if beside else Snapshot(backend.db)
        self._loaders: dict[str, Loader[Any, Any]] = beside._loaders if beside else {}

    @property
    def actor(self) -> Actor:
        """The signed-in person. Raises Unauthenticated."""
        if self.viewer is None:
            raise Unauthenticated("sign in first")
        return self.viewer

    @property
    def base_url(self) -> str:
        """The web address of this server, as those who are answered reach it."""
        return self.backend.public_url or self.caller.origin or ""

    def cursor(self, room_id: UUID, seq: int) -> str:
        return Position(self.backend.epoch, room_id, seq).encode()

    async def reset_reads(self) -> None:
        """Something was committed: what this operation reads from here on must see it."""
        self._loaders.clear()
        await self.snapshot.release()

    async def close(self) -> None:
        await self.snapshot.release()

    async def prefetch(self, *foreseen: "Prefetch") -> None:
        """Load now what the fields of a page are going to ask for, if the document has any of them."""
        for wanted in foreseen:
            if not wanted.fields.isdisjoint(self._field_names):
                await wanted.loader.prefetch(wanted.keys)

    # ---- loaders: batches by id, of rows that the actor has already reached

    @property
    def users(self) -> Loader[UUID, User]:
        return self._loader("users", accounts.users_by_id)

    @property
    def user_sessions(self) -> Loader[UUID, Session]:
        return self._loader("sessions", accounts.sessions_by_id)

    @property
    def rooms(self) -> Loader[UUID, Room]:
        return self._loader("rooms", rooms.rooms_by_id)

    @property
    def room_heads(self) -> Loader[UUID, RoomHead]:
        return self._loader("heads", event_log.heads_by_id)

    @property
    def memberships(self) -> Loader[tuple[UUID, UUID], Membership]:
        return self._loader("memberships", rooms.memberships)

    @property
    def direct_member_ids(self) -> Loader[UUID, list[UUID]]:
        return self._loader("direct_people", rooms.direct_people)

    @property
    def audit_entries(self) -> Loader[UUID, AuditEntry]:
        return self._loader("audit_entries", moderation.entries_by_id)

    @property
    def messages(self) -> Loader[UUID, Message]:
        return self._loader("messages", messages.messages_by_id)

    @property
    def messages_at(self) -> Loader[tuple[UUID, int], Message]:
        return self._loader("messages_at", messages.messages_at)

    @property
    def last_messages(self) -> Loader[UUID, Message]:
        return self._loader("last_messages", messages.last_messages)

    @property
    def reactions(self) -> Loader[UUID, list[reactions.Group]]:
        return self._loader("reactions", reactions.groups)

    @property
    def own_emoji(self) -> Loader[tuple[UUID, UUID], frozenset[str]]:
        return self._loader("own_emoji", reactions.own_emoji)

    @property
    def threads(self) -> Loader[UUID, threads.Summary]:
        return self._loader("threads", threads.summaries)

    @property
    def unread(self) -> Loader[tuple[UUID, UUID], receipts.Unread]:
        return self._loader("unread", receipts.unread)

    @property
    def totals(self) -> Loader[UUID, receipts.Totals]:
        return self._loader("totals", receipts.totals)

    @property
    def mentioned_user_ids(self) -> Loader[UUID, list[UUID]]:
        return self._loader("mentioned", mentions.mentioned)

    @property
    def active_user_ids(self) -> Loader[UUID, list[UUID]]:
        return self._loader("active_people", partial(presence.active_people, people=self.backend.presence.people))

    @property
    def attachments(self) -> Loader[UUID, list[File]]:
        return self._loader("attachments", files.attached)

    def _loader(
        self, name: str, query: Callable[[Any, Collection[Key]], Awaitable[Mapping[Key, Row]]]
    ) -> Loader[Key, Row]:
        if name not in self._loaders:

            async def load(keys: list[Key]) -> Sequence[Row | None]:
                async with self.snapshot.session() as session:
                    found = await query(session, keys)
                return [found.get(key) for key in keys]

            self._loaders[name] = Loader(load)
        return self._loaders[name]


class SharedContext(Context):
    """The context of an execution that a whole group reads. It has no viewer, so a field that wrongly counts as shared
    fails here instead of showing one person's value to another."""

    def __init__(self, backend: Backend, caller: Caller) -> None:
        super().__init__(backend, None, caller)

    @property
    def actor(self) -> Actor:
        raise LookupError("a field that depends on the viewer was executed for a group")


Info: TypeAlias = strawberry.Info[Context, None]
