"""GraphQL types of users, their presence, sessions and the viewer."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import strawberry

from roomcast.accounts import models, policy
from roomcast.accounts import queries as accounts
from roomcast.api.context import SHARED, Info
from roomcast.api.schema.connections import ConnectionPage, Edge, PageInfo
from roomcast.api.schema.node import Node
from roomcast.api.schema.scalars import URL
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.presence import people
from roomcast.uploads.links import AVATAR_LINK_WINDOW

strawberry.enum(models.UserRole)
strawberry.enum(policy.SignupMode)
strawberry.enum(people.PresenceState)


@strawberry.type
class Presence:
    state: people.PresenceState
    last_active_at: datetime | None = strawberry.field(
        description="Accurate to half a minute. Null if it is not known."
    )
    status_text: str | None
    status_emoji: str | None


@strawberry.type
class User(Node):
    row: ClassVar = models.User
    username: str
    display_name: str
    bio: str | None
    role: models.UserRole
    created_at: datetime

    @strawberry.field(graphql_type=Presence, metadata=SHARED)
    def presence(self, user: strawberry.Parent[models.User], info: Info) -> people.Presence:
        return info.context.backend.presence.people.presence(user.id)

    @strawberry.field(metadata=SHARED, description="A signed URL. It is valid for one to two days.")
    def avatar_url(self, user: strawberry.Parent[models.User], info: Info) -> URL | None:
        if user.avatar_id is None:
            return None
        return URL(
            info.context.base_url
            + info.context.backend.links.read_path("thumbnails", user.avatar_id, now(), AVATAR_LINK_WINDOW)
        )


@strawberry.type
class UserEdge:
    cursor: str
    node: models.User = strawberry.field(graphql_type=User)


@strawberry.type
class UserConnection:
    edges: list[Edge] = strawberry.field(graphql_type=list[UserEdge])
    nodes: list[models.User] = strawberry.field(graphql_type=list[User])
    page_info: PageInfo

    @strawberry.field(metadata=SHARED)
    async def total_count(self, connection: strawberry.Parent[ConnectionPage]) -> int:
        return await connection.total_count()


@strawberry.type(description="One sign-in on one device.")
class Session(Node):
    row: ClassVar = models.Session
    device_name: str | None
    created_at: datetime
    last_seen_at: datetime
    ip_address: str | None

    @strawberry.field
    def current(self, session: strawberry.Parent[models.Session], info: Info) -> bool:
        viewer = info.context.viewer
        return viewer is not None and viewer.session_id == session.id


@strawberry.type(description="The signed-in user, with the fields that only this user may read.")
class Viewer(Node):
    row: ClassVar = Actor

    @strawberry.field(graphql_type=User)
    async def user(self, actor: strawberry.Parent[Actor], info: Info) -> models.User | None:
        return await info.context.users.load(actor.user_id)

    @strawberry.field
    async def email(self, actor: strawberry.Parent[Actor], info: Info) -> str | None:
        user = await info.context.users.load(actor.user_id)
        return user.email if user else None

    @strawberry.field(graphql_type=models.UserRole)
    async def role(self, actor: strawberry.Parent[Actor]) -> models.UserRole:
        return models.UserRole.ADMIN if actor.is_admin else models.UserRole.MEMBER

    @strawberry.field(description="The sum over all rooms. Each room counts at most 100 unread messages.")
    async def total_unread(self, actor: strawberry.Parent[Actor], info: Info) -> int:
        totals = await info.context.totals.load(actor.user_id)
        return totals.unread if totals else 0

    @strawberry.field
    async def total_mentions(self, actor: strawberry.Parent[Actor], info: Info) -> int:
        totals = await info.context.totals.load(actor.user_id)
        return totals.mentions if totals else 0

    @strawberry.field(graphql_type=list[Session])
    async def sessions(self, actor: strawberry.Parent[Actor], info: Info) -> Sequence[models.Session]:
        """The open sessions of the account, the most recently used first."""
        return await info.context.read(accounts.active_sessions, actor)


@strawberry.type
class TokenPair:
    access_token: str
    access_token_expires_at: datetime
    refresh_token: str
    refresh_token_expires_at: datetime
    token_type: str = "Bearer"  # noqa: S105 (the token type of RFC 6750, not a secret)
