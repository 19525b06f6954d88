"""GraphQL type of invites, as those see them who may manage them."""

from datetime import datetime

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Info
from roomcast.api.loaders import Maybe
from roomcast.api.schema.accounts.types import User
from roomcast.api.schema.rooms.types import Room
from roomcast.api.schema.scalars import URL
from roomcast.rooms import models


@strawberry.type(description="An invite to a room: whoever has its code can join.")
class RoomInvite:
    code: str = strawberry.field(description="Give it to `joinRoom` or `signup`.")
    created_at: datetime = strawberry.field(description="When the invite was created.")
    expires_at: datetime | None = strawberry.field(description="Null if the invite does not expire.")
    max_uses: int | None = strawberry.field(description="How often it can be used. Null if there is no limit.")
    uses: int = strawberry.field(description="How often it has been used.")
    revoked_at: datetime | None = strawberry.field(description="Null if the invite was not revoked.")

    @strawberry.field(description="A link to the chat page that opens the invite.")
    def url(self, invite: strawberry.Parent[models.Invite], info: Info) -> URL:
        return URL(f"{info.context.base_url}/?invite={invite.code}")

    @strawberry.field(graphql_type=Room, description="The room that the invite is for.")
    def room(self, invite: strawberry.Parent[models.Invite], info: Info) -> Maybe[models.Room | None]:
        return info.context.rooms.load_now(invite.room_id)

    @strawberry.field(graphql_type=User | None, description="Who created the invite.")
    def created_by(self, invite: strawberry.Parent[models.Invite], info: Info) -> Maybe[account_rows.User | None]:
        return info.context.users.load_now(invite.created_by_id)
