"""Queries about the server and its limits, and the lookup of any object by its global id."""

from importlib.metadata import version
from typing import Any

import strawberry

from roomcast.accounts import policy as accounts
from roomcast.api.connection_limits import HEARTBEAT_MS, MAX_SUBSCRIPTIONS_PER_CONNECTION
from roomcast.api.context import Context, Info
from roomcast.api.schema.messages.queries import message_or_none
from roomcast.api.schema.node import Node
from roomcast.api.schema.rooms.queries import room_or_none
from roomcast.api.schema.threads.queries import thread_or_none
from roomcast.api.schema.uploads.types import attachment_or_none
from roomcast.core.ids import kind_of, local_id
from roomcast.core.paging import MAX_PAGE_SIZE
from roomcast.messages.policy import MAX_BODY
from roomcast.presence.policy import TYPING_EXPIRY_SECONDS, TYPING_REFRESH_SECONDS

MAX_NODES = 100


@strawberry.type
class ServerLimits:
    max_page_size: int = MAX_PAGE_SIZE
    max_upload_bytes: int
    max_message_length: int = strawberry.field(default=MAX_BODY, description="In characters.")
    typing_refresh_ms: int = round(TYPING_REFRESH_SECONDS * 1000)
    typing_expiry_ms: int = round(TYPING_EXPIRY_SECONDS * 1000)
    heartbeat_ms: int = HEARTBEAT_MS
    max_subscriptions_per_connection: int = MAX_SUBSCRIPTIONS_PER_CONNECTION
    max_response_bytes: int = strawberry.field(
        description="The size limit of one response or event. A larger one becomes the error QUERY_TOO_COMPLEX."
    )


@strawberry.type
class ServerInfo:
    version: str
    signup_mode: accounts.SignupMode
    limits: ServerLimits

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
        "values."
    )
    def server_info(self, info: Info) -> ServerInfo:
        backend = info.context.backend
        mode: accounts.SignupMode = backend.account_rules.signup_mode
        limits = ServerLimits(max_upload_bytes=backend.max_upload_bytes, max_response_bytes=backend.max_response_bytes)
        return ServerInfo(version=version("roomcast"), signup_mode=mode, limits=limits)

    @strawberry.field(graphql_type=Node | None)
    async def node(self, info: Info, id: strawberry.ID) -> Any:  # noqa: A002 (GraphQL's name)
        return await _node(info.context, id)

    @strawberry.field(graphql_type=list[Node | None])
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[Any]:
        """The objects of the first 100 ids, in their order. Null for each object that the viewer cannot see."""
        return [await _node(info.context, id_) for id_ in ids[:MAX_NODES]]


async def _node(context: Context, global_id: str) -> Any:
    """The object with this id. None if it does not exist or the viewer may not see it."""
    actor, kind = context.actor, kind_of(global_id)
    if kind == "user" and (user_id := local_id("user", global_id)):
        return await context.users.load(user_id)
    if kind == "room":
        return await room_or_none(context, local_id("room", global_id))
    if kind == "msg":
        return await message_or_none(context, local_id("msg", global_id))
    if kind == "thread":
        return await thread_or_none(context, local_id("thread", global_id))
    if kind == "file":
        return await attachment_or_none(context, local_id("file", global_id))
    if kind == "session" and (session_id := local_id("session", global_id)):
        session = await context.user_sessions.load(session_id)
        return session if session and session.user_id == actor.user_id and session.revoked_at is None else None
    if kind == "audit" and actor.is_admin and (entry_id := local_id("audit", global_id)):
        return await context.audit_entries.load(entry_id)
    return actor if kind == "viewer" and local_id("viewer", global_id) == actor.user_id else None
