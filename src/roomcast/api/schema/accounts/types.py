"""GraphQL types of users, their presence, sessions and the viewer."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import strawberry

from roomcast.accounts import models, policy
from roomcast.accounts import queries as accounts
from roomcast.api.context import SHARED, Info
from roomcast.api.enums import describe_enum
from roomcast.api.schema.connections import (
    ConnectionPage,
    Edge,
    PageInfo,
    edge_cursor,
    edge_node,
    page_edges,
    page_info_field,
    page_nodes,
)
from roomcast.api.schema.node import Node
from roomcast.api.schema.scalars import URL
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.presence import registry
from roomcast.uploads.links import AVATAR_LINK_WINDOW

describe_enum(
    models.UserRole,
    "What a user may do on the whole server.",
    ADMIN="Manages users and all public rooms.",
    MEMBER="Has the rights of their role in each room, and no others.",
)
describe_enum(
    policy.SignupMode,
    "Who may create an account.",
    OPEN="Everybody.",
    INVITE_ONLY="Only people with an invite to a room.",
    CLOSED="Nobody.",
)
describe_enum(
    registry.PresenceState,
    "Whether a user is there.",
    ACTIVE="The user has a connection and is using it.",
    IDLE="The user has a connection and is not using it.",
    OFFLINE="The user has no connection, or hides it.",
)


@strawberry.type(description="Whether a user is there, and what they say about it. It is not stored.")
class Presence:
    state: registry.PresenceState = strawberry.field(description="The state over all devices of the user.")
    last_active_at: datetime | None = strawberry.field(
        description="Accurate to half a minute. Null if it is not known."
    )
    status_text: str | None = strawberry.field(description='What the user says about their status, e.g. "At lunch".')
    status_emoji: str | None = strawberry.field(description="One emoji for the status.")


@strawberry.type(description="An account as other users see it.")
class User(Node):
    row: ClassVar = models.User, models.UserRecord
    username: str = strawberry.field(
        description="Unique without regard to case and look-alikes. It never changes. `@username` mentions the user."
    )
    display_name: str = strawberry.field(description="The name to show. It is not unique.")
    bio: str | None = strawberry.field(description="What the user writes about themselves, as plain text.")
    role: models.UserRole = strawberry.field(description="The role on this server, not in a room.")
    created_at: datetime = strawberry.field(description="When the account was created.")

    @strawberry.field(
        description="When the user was banned. Null if they are not, and for all who are no administrators."
    )
    def banned_at(self, user: strawberry.Parent[models.User], info: Info) -> datetime | None:
        viewer = info.context.viewer
        return user.banned_at if viewer is not None and viewer.is_admin else None

    @strawberry.field(
        graphql_type=Presence,
        metadata=SHARED,
        description="Whether the user is there now. Subscribe to `presence` of a room to follow it.",
    )
    def presence(self, user: strawberry.Parent[models.User], info: Info) -> registry.Presence:
        return info.context.backend.presence.registry.presence_of(user.id)

    @strawberry.field(
        metadata=SHARED,
        description="A signed URL of the user's picture, a small WebP. It is valid for one to two days. Null if the "
        "user has no picture.",
    )
    def avatar_url(self, user: strawberry.Parent[models.User], info: Info) -> URL | None:
        if user.avatar_id is None:
            return None
        return URL(
            info.context.base_url
            + info.context.backend.links.read_path("thumbnails", user.avatar_id, now(), AVATAR_LINK_WINDOW)
        )


@strawberry.type(description="A user in a list.")
class UserEdge:
    cursor: str = edge_cursor()
    node: models.User = edge_node(User)


@strawberry.type(description="A page of users.")
class UserConnection:
    edges: list[Edge] = page_edges(UserEdge)
    nodes: list[models.User] = page_nodes(User)
    page_info: PageInfo = page_info_field()

    @strawberry.field(metadata=SHARED, description="How many users the whole list has.")
    async def total_count(self, connection: strawberry.Parent[ConnectionPage]) -> int:
        return await connection.total_count()


@strawberry.type(description="One sign-in on one device.")
class Session(Node):
    row: ClassVar = models.Session
    device_name: str | None = strawberry.field(description="What the client called the device when it signed in.")
    created_at: datetime = strawberry.field(description="When the device signed in.")
    last_seen_at: datetime = strawberry.field(description="When the session last refreshed its tokens.")
    ip_address: str | None = strawberry.field(description="The address that the device signed in from.")

    @strawberry.field(description="Whether this request belongs to the session.")
    def current(self, session: strawberry.Parent[models.Session], info: Info) -> bool:
        viewer = info.context.viewer
        return viewer is not None and viewer.session_id == session.id


@strawberry.type(description="The signed-in user, with the fields that only this user may read.")
class Viewer(Node):
    row: ClassVar = Actor

    @strawberry.field(graphql_type=User, description="The account as other users see it.")
    async def user(self, actor: strawberry.Parent[Actor], info: Info) -> models.User | None:
        return await info.context.users.load(actor.user_id)

    @strawberry.field(description="The e-mail address. Only the user themselves can read it.")
    async def email(self, actor: strawberry.Parent[Actor], info: Info) -> str | None:
        user = await info.context.users.load(actor.user_id)
        return user.email if user else None

    @strawberry.field(graphql_type=models.UserRole, description="The role on this server, not in a room.")
    async def role(self, actor: strawberry.Parent[Actor]) -> models.UserRole:
        return models.UserRole.ADMIN if actor.is_admin else models.UserRole.MEMBER

    @strawberry.field(
        description="Unread messages in all rooms together. Each room counts at most 100. Archived rooms do not count."
    )
    async def total_unread(self, actor: strawberry.Parent[Actor], info: Info) -> int:
        totals = await info.context.totals.load(actor.user_id)
        return totals.unread if totals else 0

    @strawberry.field(
        description="Unread messages that mention the viewer, in all rooms together. Each room counts at most 100."
    )
    async def total_mentions(self, actor: strawberry.Parent[Actor], info: Info) -> int:
        totals = await info.context.totals.load(actor.user_id)
        return totals.mentions if totals else 0

    @strawberry.field(
        graphql_type=list[Session], description="The open sessions of the account, the most recently used first."
    )
    async def sessions(self, actor: strawberry.Parent[Actor], info: Info) -> Sequence[models.Session]:
        return await info.context.read(accounts.active_sessions, actor)


@strawberry.type(description="The tokens of a session. Store the refresh token as carefully as a password.")
class TokenPair:
    access_token: str = strawberry.field(
        description="Send it as `Authorization: Bearer …`, or in `connection_init` of a WebSocket."
    )
    access_token_expires_at: datetime = strawberry.field(description="Call `refreshSession` before this time.")
    refresh_token: str = strawberry.field(
        description="The argument of `refreshSession`, which returns a new one. Each can be used once."
    )
    refresh_token_expires_at: datetime = strawberry.field(
        description="If the session is not refreshed until this time, the user has to sign in again."
    )
    token_type: str = strawberry.field(
        default="Bearer",  # the token type of RFC 6750, not a secret
        description="Always `Bearer`.",
    )
