"""The context that resolvers receive: one per operation and one per subscription event, never one per connection."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from sqlmodel.ext.asyncio.session import AsyncSession

from roomcast.accounts import queries as accounts
from roomcast.accounts.credentials import Credentials
from roomcast.accounts.models import Session, User
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.sessions import Sessions
from roomcast.accounts.tokens import Tokens
from roomcast.api.loaders import Key, Loader, Prefetch, Query, Row, load_together
from roomcast.core import event_log
from roomcast.core.actor import Actor
from roomcast.core.audit import AuditEntry
from roomcast.core.db import Database, Snapshot
from roomcast.core.direct_queries import DirectRead, read_direct, read_together
from roomcast.core.epoch import Epoch
from roomcast.core.errors import Unauthenticated
from roomcast.core.event_log import Position, RoomHead
from roomcast.core.refusals import Refusals
from roomcast.core.replicas import NoReplica, Replicas
from roomcast.live.inbox_reconciler import InboxReconciler
from roomcast.live.presence import PresenceService
from roomcast.live.room_streams import StreamAccess
from roomcast.messages import mentions, reactions, threads
from roomcast.messages import queries as messages
from roomcast.messages.actions import MessageSender
from roomcast.messages.models import Message
from roomcast.moderation import queries as moderation
from roomcast.notifications.notifier import Notifier
from roomcast.presence import queries as presence
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.receipts import queries as receipts
from roomcast.receipts import threads as thread_receipts
from roomcast.rooms import queries as rooms
from roomcast.rooms.models import Membership, Room
from roomcast.uploads import queries as files
from roomcast.uploads.actions import FileLimits
from roomcast.uploads.links import Links
from roomcast.uploads.models import File

P = ParamSpec("P")
Result = TypeVar("Result")

PersonalReads: TypeAlias = Sequence[tuple[Loader[Any, Any], tuple[Any, ...]]]
"""Loaders with keys in which None is in the place of a user's id."""

SHARED = {"shared": True}
"""Metadata of a field whose value is the same for all viewers who may see it. It is executed once for a whole group."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The services that resolvers call. `app.py` builds it once per process."""

    db: Database
    epoch_tracker: Epoch
    tokens: Tokens
    passwords: Passwords
    credentials: Credentials
    sessions: Sessions
    stream_access: StreamAccess
    account_rules: AccountRules
    message_sender: MessageSender
    watchers: WatcherRegistry
    inbox_reconciler: InboxReconciler
    presence: PresenceService
    links: Links
    file_limits: FileLimits
    refusals: Refusals
    max_response_bytes: int
    notifier: Notifier | None = None
    replicas: Replicas | None = None
    members_may_create_rooms: bool = True
    public_url: str | None = None

    @property
    def epoch(self) -> UUID:
        """The current epoch of the database. Cursors of other epochs are not valid."""
        return self.epoch_tracker.current


@dataclass(frozen=True, slots=True)
class Caller:
    """Where an operation comes from.

    `origin`: the base URL under which the client reached this server. Two callbacks are set for WebSockets only.
    `on_sign_in`: after a sign-in, the connection acts for the new session. `resume_cursor`: the cursor that the client
    sent in `connection_init` for a room and a subscription field. It is used up once a stream has started from it.
    """

    request_id: str
    ip_address: str | None = None
    on_sign_in: Callable[[Actor], None] | None = None
    resume_cursor: Callable[[str, str], str | None] | None = None
    origin: str | None = None


class Context:
    """The viewer of an operation, one database snapshot, and loaders that live as long as the snapshot.

    `field_names`: every name in the document. `shares_reads_of`: the context whose snapshot and loaders this one uses.
    That is safe for another viewer: what a loader finds depends on its key alone, and keys of personal data contain the
    user's id.
    """

    def __init__(
        self,
        backend: Backend,
        viewer: Actor | None,
        caller: Caller,
        shares_reads_of: "Context | None" = None,
        field_names: Collection[str] = frozenset(),
    ) -> None:
        self.backend, self.caller, self._field_names = backend, caller, field_names
        self.refusal: str | None = None
        """The code of the last mutation that was refused in its payload."""
        self.epoch = backend.epoch
        """Of the cursors in the response. Taken before the first read: a position in a log that is replaced meanwhile
        must not get the epoch of the new one."""
        self.viewer = replace(viewer, ip_address=caller.ip_address) if viewer and caller.ip_address else viewer
        self.snapshot: Snapshot = shares_reads_of.snapshot if shares_reads_of else Snapshot(backend.db)
        self._loaders: dict[str, Loader[Any, Any]] = shares_reads_of._loaders if shares_reads_of else {}

    @property
    def actor(self) -> Actor:
        """The signed-in user. Raises Unauthenticated."""
        if self.viewer is None:
            raise Unauthenticated("Sign in first.")
        return self.viewer

    @property
    def base_url(self) -> str:
        """The base URL of this server, for links in the response."""
        return self.backend.public_url or self.caller.origin or ""

    def cursor(self, room_id: UUID, seq: int) -> str:
        return Position(self.epoch, room_id, seq).encode()

    async def read(
        self, query: Callable[Concatenate[AsyncSession, P], Awaitable[Result]], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Run one query in the snapshot."""
        async with self.snapshot.session() as session:
            return await query(session, *args, **kwargs)

    async def reset_reads(self) -> None:
        """Drop the snapshot and everything loaded from it. Call it after a commit: later reads must see the change."""
        self._loaders.clear()
        await self.snapshot.release()

    async def close(self) -> None:
        """End the operation. Nothing can be read any more."""
        await self.snapshot.end()

    async def read_content(
        self, heads: Mapping[UUID, int], query: Callable[[AsyncSession], Awaitable[Result]]
    ) -> Result:
        """Run a query over messages on a replica that shows at least what these heads say, or else in the snapshot.

        `heads`: the last seq of each room, read in the snapshot. A replica may be further: the query has to leave out
        messages above these heads, which the snapshot does not have.
        """
        if self.backend.replicas is not None:
            with suppress(NoReplica):
                return await self.backend.replicas.read(heads, query)
        return await self.read(query)

    async def read_direct(self, read: DirectRead[Result]) -> Result:
        """The result of this read in the snapshot."""
        async with self.snapshot.session() as session:
            return await read_direct(session, read)

    async def read_together(self, *reads: DirectRead[Any]) -> list[Any]:
        """The results of these reads in the snapshot, which are sent together."""
        async with self.snapshot.session() as session:
            return await read_together(session, *reads)

    async def prefetch(self, *prefetches: Prefetch, session: AsyncSession | None = None) -> None:
        """Load the rows that the fields of a page will ask for. Fields that the document does not name are skipped.
        `session`: where to read them, if not in the snapshot."""
        wanted: dict[Loader[Any, Any], Collection[Any]] = {}
        for each in prefetches:
            if not each.fields.isdisjoint(self._field_names) and (missing := each.loader.missing(each.keys)):
                known = wanted.get(each.loader)
                wanted[each.loader] = missing if known is None else dict.fromkeys((*known, *missing))
        if wanted:
            async with self.snapshot.session() if session is None else nullcontext(session) as reading:
                await load_together(reading, wanted)

    def personal_reads(self, user_id: UUID) -> PersonalReads:
        """What has been loaded for this user: keys of personal data contain the user's id."""
        return [
            (loader, tuple(None if part == user_id else part for part in key))
            for loader in self._loaders.values()
            for key in loader.loaded_keys
            if isinstance(key, tuple) and user_id in key
        ]

    async def repeat_reads(self, reads: PersonalReads, user_ids: Sequence[UUID]) -> None:
        """Load the same for other users, as far as possible in one trip to the database."""
        wanted: dict[Loader[Any, Any], list[Any]] = {}
        for loader, key in reads:
            keys = [tuple(user_id if part is None else part for part in key) for user_id in user_ids]
            if missing := loader.missing(keys):
                wanted[loader] = [*wanted.get(loader, ()), *missing]
        if wanted:
            async with self.snapshot.session() as session:
                await load_together(session, wanted)

    # ---- loaders. They check no permissions: ask only for rows that the actor has reached through a checked query.

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
        return self._loader("room_heads", event_log.heads_by_id)

    @property
    def memberships(self) -> Loader[tuple[UUID, UUID], Membership]:
        return self._loader("memberships", rooms.memberships_by_key)

    @property
    def direct_member_ids(self) -> Loader[UUID, list[UUID]]:
        return self._loader("direct_member_ids", rooms.direct_member_ids)

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
    def reactions(self) -> Loader[UUID, list[reactions.ReactionGroup]]:
        return self._loader("reactions", reactions.reaction_groups)

    @property
    def own_emoji(self) -> Loader[tuple[UUID, UUID], list[str]]:
        return self._loader("own_emoji", reactions.own_emoji)

    @property
    def threads(self) -> Loader[UUID, threads.Thread]:
        return self._loader("threads", threads.threads_by_root)

    @property
    def thread_participant_ids(self) -> Loader[UUID, list[UUID]]:
        return self._loader("thread_participant_ids", threads.participant_ids)

    @property
    def thread_states(self) -> Loader[tuple[UUID, UUID], thread_receipts.ThreadUnread]:
        return self._loader("thread_states", thread_receipts.thread_states)

    @property
    def unread(self) -> Loader[tuple[UUID, UUID], receipts.RoomReadState]:
        return self._loader("unread", receipts.read_states)

    @property
    def totals(self) -> Loader[UUID, receipts.UnreadTotals]:
        return self._loader("totals", receipts.unread_totals)

    @property
    def mentioned_user_ids(self) -> Loader[UUID, list[UUID]]:
        return self._loader("mentioned_user_ids", mentions.mentioned_user_ids)

    @property
    def active_user_ids(self) -> Loader[UUID, list[UUID]]:
        registry = self.backend.presence.registry
        return self._loader("active_user_ids", partial(presence.visible_members, registry=registry))

    @property
    def attachments(self) -> Loader[UUID, list[File]]:
        return self._loader("attachments", files.files_by_message)

    def _loader(self, name: str, query: Query[Key, Row]) -> Loader[Key, Row]:
        if name not in self._loaders:
            self._loaders[name] = Loader(query, self.snapshot.session)
        return self._loaders[name]


class SharedContext(Context):
    """The context of an execution whose result is sent to a whole group.

    It has no viewer. A field that is wrongly marked as shared raises here instead of showing one user's data to others.
    """

    def __init__(self, backend: Backend, caller: Caller) -> None:
        super().__init__(backend, None, caller)

    @property
    def actor(self) -> Actor:
        raise LookupError("a field that depends on the viewer was executed for a group")

    def cursor(self, room_id: UUID, seq: int) -> str:
        """In the current epoch: the context lives as long as its group, which sends nothing while the epoch changes."""
        return Position(self.backend.epoch, room_id, seq).encode()


Info: TypeAlias = strawberry.Info[Context, None]
