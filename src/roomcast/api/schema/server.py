"""Queries about the server and its limits, and the lookup of any object by its global id."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated, Any, Final

import strawberry

from roomcast.accounts import policy as accounts
from roomcast.api.connection_limits import HEARTBEAT_MS, MAX_SUBSCRIPTIONS_PER_CONNECTION
from roomcast.api.context import Backend, Context, Info
from roomcast.api.execution.limits import MAX_EVENT_COST, MAX_OPERATION_COST
from roomcast.api.schema.messages.queries import message_or_none
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.invite_types import invite_or_none
from roomcast.api.schema.rooms.queries import member_or_none, membership_or_none, room_or_none
from roomcast.api.schema.scalars import Long
from roomcast.api.schema.threads.queries import thread_or_none
from roomcast.api.schema.uploads.types import attachment_or_none
from roomcast.core.ids import local_id
from roomcast.core.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from roomcast.messages.policy import MAX_BODY
from roomcast.presence.policy import TYPING_EXPIRY_SECONDS, TYPING_REFRESH_SECONDS

MAX_NODES = 100


@cache
def can_decode_pictures() -> bool:
    """Whether the optional dependency that makes thumbnails is installed. It does not change while a process runs."""
    return find_spec("PIL") is not None


CAPABILITIES: Final[Mapping[str, tuple[str, Callable[[Backend], bool]]]] = {
    "roomCreation": (
        "every user may create rooms; without it, only administrators",
        lambda backend: backend.members_may_create_rooms,
    ),
    "search": ("`searchMessages`", lambda _: True),
    "thumbnails": (
        "`thumbnailUrl`, `width` and `height` of pictures, and pictures of users",
        lambda _: can_decode_pictures(),
    ),
    "webPush": ("push notifications of browsers, see `vapidPublicKey`", lambda backend: backend.notifier is not None),
}
"""By name: what the capability means, and whether this server has it."""


@strawberry.type(description="The limits and timing constants of this server.")
class ServerLimits:
    max_page_size: int = strawberry.field(default=MAX_PAGE_SIZE, description="The largest `first` or `last`.")
    default_page_size: int = strawberry.field(
        default=DEFAULT_PAGE_SIZE, description="The size of a page without `first` and `last`."
    )
    max_upload_bytes: Long = strawberry.field(description="The largest file that can be uploaded.")
    max_message_length: int = strawberry.field(
        default=MAX_BODY, description="The longest body of a message, in characters (Unicode code points)."
    )
    typing_refresh_ms: int = strawberry.field(
        default=round(TYPING_REFRESH_SECONDS * 1000),
        description="While the user types, call `setTyping` again after this time.",
    )
    typing_expiry_ms: int = strawberry.field(
        default=round(TYPING_EXPIRY_SECONDS * 1000),
        description="A user who does not call `setTyping` again within this time no longer counts as typing.",
    )
    heartbeat_ms: int = strawberry.field(
        default=HEARTBEAT_MS,
        description="The time between two `ping` messages of the server on a WebSocket. Two that are not answered "
        "close it with 4408.",
    )
    max_subscriptions_per_connection: int = strawberry.field(
        default=MAX_SUBSCRIPTIONS_PER_CONNECTION, description="Subscriptions that one WebSocket can have open."
    )
    max_operation_cost: int = strawberry.field(
        default=MAX_OPERATION_COST,
        description="The highest cost of one query or mutation. A request with `extensions: {cost: true}` gets its "
        f"cost in `extensions.cost`. A subscription may cost {MAX_EVENT_COST} for each event.",
    )
    max_response_bytes: int = strawberry.field(
        description="The size limit of one response or event. A larger one becomes the error QUERY_TOO_COMPLEX."
    )


@strawberry.type(description="What clients need to know about this server before they sign in.")
class ServerInfo:
    version: str = strawberry.field(description="The version of roomcast.")
    signup_mode: accounts.SignupMode = strawberry.field(description="Who may create an account.")
    limits: ServerLimits = strawberry.field(description="Read limits from here instead of hard-coding them.")
    capabilities: list[str] = strawberry.field(
        description="Parts of the API that are available here and may be off or missing on other servers. Ignore names "
        "that you do not know. "
        + " ".join(f"`{name}`: {meaning}." for name, (meaning, _) in sorted(CAPABILITIES.items()))
    )

    @strawberry.field(
        description="The key for push subscriptions of browsers. Null if the server sends no push notifications."
    )
    async def vapid_public_key(self, info: Info) -> str | None:
        notifier = info.context.backend.notifier
        return (await notifier.sender()).public_key if notifier is not None else None


@strawberry.type
class Query:
    @strawberry.field(
        description="The limits and timing constants of this server. Clients should read them instead of hard-coding "
        "values. No sign-in is required."
    )
    def server_info(self, info: Info) -> ServerInfo:
        backend = info.context.backend
        mode: accounts.SignupMode = backend.account_rules.signup_mode
        limits = ServerLimits(
            max_upload_bytes=Long(backend.file_limits.max_upload_bytes), max_response_bytes=backend.max_response_bytes
        )
        available = [name for name, (_, is_available) in CAPABILITIES.items() if is_available(backend)]
        return ServerInfo(version=version("roomcast"), signup_mode=mode, limits=limits, capabilities=sorted(available))

    @strawberry.field(
        graphql_type=Node | None,
        description="The object with this id. Null if the viewer cannot see such an object. The prefix of the id is "
        "its type.",
    )
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of any object.")],  # noqa: A002 (GraphQL's name)
    ) -> Any:
        return await _node(info.context, id)

    @strawberry.field(
        graphql_type=list[Node | None],
        description=f"The objects of the first {MAX_NODES} ids, in their order. Null for each object that the viewer "
        "cannot see.",
    )
    async def nodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], strawberry.argument(description=f"At most {MAX_NODES} ids are read.")],
    ) -> list[Any]:
        return [await _node(info.context, id_) for id_ in ids[:MAX_NODES]]


async def _node(context: Context, global_id: str) -> Any:
    """The object with this id. None if it does not exist or the viewer may not see it. Raises Unauthenticated."""
    _ = context.actor
    lookup = LOOKUPS.get(global_id.partition("_")[0])
    return await lookup(context, global_id) if lookup is not None else None


async def _viewer(context: Context, global_id: str) -> Any:
    return context.actor if local_id("viewer", global_id) == context.actor.user_id else None


async def _user(context: Context, global_id: str) -> Any:
    user_id = local_id("user", global_id)
    return await context.users.load(user_id) if user_id else None


async def _session(context: Context, global_id: str) -> Any:
    """An open session of the viewer."""
    session_id = local_id("session", global_id)
    session = await context.user_sessions.load(session_id) if session_id else None
    is_own = session is not None and session.user_id == context.actor.user_id and session.revoked_at is None
    return session if is_own else None


async def _audit_entry(context: Context, global_id: str) -> Any:
    entry_id = local_id("audit", global_id)
    return await context.audit_entries.load(entry_id) if entry_id and context.actor.is_admin else None


LOOKUPS: Final[Mapping[str, Callable[[Context, str], Awaitable[Any]]]] = {
    "viewer": _viewer,
    "user": _user,
    "session": _session,
    "room": lambda context, id_: room_or_none(context, local_id("room", id_)),
    "member": member_or_none,
    "membership": membership_or_none,
    "invite": invite_or_none,
    "msg": lambda context, id_: message_or_none(context, local_id("msg", id_)),
    "thread": lambda context, id_: thread_or_none(context, local_id("thread", id_)),
    "file": lambda context, id_: attachment_or_none(context, local_id("file", id_)),
    "audit": _audit_entry,
}
"""By prefix of the global id: how its object is found under the viewer's rights."""
