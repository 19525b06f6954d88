"""GraphQL types of invites: for the members who manage them, and for users outside who hold one."""

from datetime import datetime
from typing import ClassVar, NamedTuple

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Context, Info
from roomcast.api.loaders import Maybe
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.connections import (
    Edge,
    PageInfo,
    edge_cursor,
    edge_node,
    page_edges,
    page_info_field,
    page_nodes,
)
from roomcast.api.schema.node import ID_DESCRIPTION, Node
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import URL
from roomcast.core.errors import NotFound
from roomcast.core.ids import global_id
from roomcast.rooms import invites, models

PREFIX = "invite_"


@strawberry.type(
    description="An invite to a room. Everybody who has its code can join while it is valid: not revoked, not expired, "
    "and not used up. Its creator and the moderators of the room can see it."
)
class RoomInvite(Node):
    row: ClassVar = models.Invite
    code: str = strawberry.field(description="The secret that admits to the room.")
    created_at: datetime = strawberry.field(description="When the invite was created.")
    expires_at: datetime | None = strawberry.field(
        description="The invite is not valid after this time. Null if it does not expire."
    )
    max_uses: int | None = strawberry.field(description="How often it can be used. Null if there is no limit.")
    uses: int = strawberry.field(description="How often it has been used.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked. Null if it was not.")

    @strawberry.field(description=ID_DESCRIPTION)
    def id(self, invite: strawberry.Parent[models.Invite]) -> strawberry.ID:
        return strawberry.ID(PREFIX + invite.code)

    @strawberry.field(description="The address of the chat page that shows the invite. It contains the code.")
    def url(self, invite: strawberry.Parent[models.Invite], info: Info) -> URL:
        return URL(f"{info.context.base_url}/?invite={invite.code}")

    @strawberry.field(graphql_type=Room, description="The room that the invite admits to.")
    def room(self, invite: strawberry.Parent[models.Invite], info: Info) -> Maybe[models.Room | None]:
        return info.context.rooms.load_now(invite.room_id)

    @strawberry.field(graphql_type=User | None, description="The user who created the invite.")
    def created_by(self, invite: strawberry.Parent[models.Invite], info: Info) -> Maybe[account_rows.User | None]:
        return info.context.users.load_now(invite.created_by_id)


@strawberry.type(description="An invite in a list.")
class RoomInviteEdge:
    cursor: str = edge_cursor()
    node: models.Invite = edge_node(RoomInvite)


@strawberry.type(description="A page of the invites to a room.")
class RoomInviteConnection:
    edges: list[Edge] = page_edges(RoomInviteEdge)
    nodes: list[models.Invite] = page_nodes(RoomInvite)
    page_info: PageInfo = page_info_field()


async def invite_or_none(context: Context, invite_id: str) -> models.Invite | None:
    """The invite with this global id, or None if the viewer may not see it."""
    try:
        return await context.read(invites.readable_invite, context.actor, invite_id.removeprefix(PREFIX))
    except NotFound:
        return None


class Preview(NamedTuple):
    """The rows behind an InvitePreview."""

    invite: models.Invite
    room: models.Room


@strawberry.type(description="What an invite shows to users who have not joined the room, signed in or not.")
class InvitePreview:
    @strawberry.field(description="The code of the invite.")
    def code(self, preview: strawberry.Parent[Preview]) -> str:
        return preview.invite.code

    @strawberry.field(description="The id of the room, for `joinRoom` and for links. The room itself may be private.")
    def room_id(self, preview: strawberry.Parent[Preview]) -> strawberry.ID:
        return strawberry.ID(global_id("room", preview.room.id))

    @strawberry.field(description="The name of the room.")
    def room_name(self, preview: strawberry.Parent[Preview]) -> str | None:
        return preview.room.name

    @strawberry.field(graphql_type=User | None, description="The user who created the invite.")
    async def inviter(self, preview: strawberry.Parent[Preview], info: Info) -> account_rows.User | None:
        return await info.context.users.load(preview.invite.created_by_id)

    @strawberry.field(description="The invite is not valid after this time. Null if it does not expire.")
    def expires_at(self, preview: strawberry.Parent[Preview]) -> datetime | None:
        return preview.invite.expires_at

    @strawberry.field(description="How often it can still be used. Null if there is no limit.")
    def uses_left(self, preview: strawberry.Parent[Preview]) -> int | None:
        limit = preview.invite.max_uses
        return None if limit is None else limit - preview.invite.uses
