"""GraphQL inputs of rooms."""

from uuid import UUID

import strawberry

from roomcast.rooms import models, queries


@strawberry.input
class RoomFilter:
    membership: queries.RoomMembershipFilter = queries.RoomMembershipFilter.JOINED
    query: str | None = strawberry.field(
        default=None,
        description="Text anywhere in the room's name, or in the names of the other users of a direct conversation. "
        "Case and accents are ignored.",
    )
    kind: models.RoomKind | None = None
    unread_only: bool = strawberry.field(
        default=False, description="Only rooms with unread messages of other users. Replies in threads do not count."
    )
    archived: bool = False


@strawberry.input
class RoomIdInput:
    room_id: strawberry.ID


@strawberry.input
class CreateRoomInput:
    name: str
    visibility: models.RoomVisibility = models.RoomVisibility.PUBLIC
    topic: str | None = None
    description: str | None = None
    member_ids: list[strawberry.ID] | None = None
    idempotency_key: UUID | None = None


@strawberry.input
class UpdateRoomInput:
    """Omitted fields stay unchanged. Null removes the topic or the description. The other fields ignore null."""

    room_id: strawberry.ID
    name: str | None = None
    topic: str | None = strawberry.UNSET
    description: str | None = strawberry.UNSET
    visibility: models.RoomVisibility | None = None
    slow_mode_seconds: int | None = strawberry.field(
        default=None, description="The least number of seconds between two messages of a member. 0 turns slow mode off."
    )


@strawberry.input
class OpenDirectMessageInput:
    user_ids: list[strawberry.ID]


@strawberry.input
class JoinRoomInput:
    room_id: strawberry.ID | None = None
    invite_code: str | None = None


@strawberry.input
class AddMembersInput:
    room_id: strawberry.ID
    user_ids: list[strawberry.ID]
    role: models.RoomRole = models.RoomRole.MEMBER


@strawberry.input
class RemoveMemberInput:
    room_id: strawberry.ID
    user_id: strawberry.ID
    reason: str | None = None


@strawberry.input
class SetMemberRoleInput:
    room_id: strawberry.ID
    user_id: strawberry.ID
    role: models.RoomRole


@strawberry.input
class CreateInviteInput:
    room_id: strawberry.ID
    expires_in_seconds: int | None = None
    max_uses: int | None = None


@strawberry.input
class RevokeInviteInput:
    code: str
