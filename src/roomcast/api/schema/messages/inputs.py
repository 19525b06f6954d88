"""GraphQL inputs of messages."""

from datetime import datetime
from uuid import UUID

import strawberry


@strawberry.input
class SendMessageInput:
    room_id: strawberry.ID
    body: str
    client_message_id: UUID | None = strawberry.field(
        default=None,
        description="Idempotency key and optimistic id. Same key and content: the original message again. Same key, "
        "other content: IDEMPOTENCY_KEY_REUSED. It never expires.",
    )
    reply_to_id: strawberry.ID | None = None
    thread_root_id: strawberry.ID | None = strawberry.field(
        default=None, description="The message whose thread this is said in. Threads are not nested."
    )
    attachment_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Finished uploads of the sender's, at most 10, each used once. With them the body may be empty.",
    )


@strawberry.input
class EditMessageInput:
    message_id: strawberry.ID
    body: str
    expected_revision: int | None = strawberry.field(
        default=None, description="CONFLICT when the stored revision differs."
    )


@strawberry.input
class DeleteMessageInput:
    message_id: strawberry.ID
    reason: str | None = None


@strawberry.input
class ReactionInput:
    message_id: strawberry.ID
    emoji: str


@strawberry.input
class MessageIdInput:
    message_id: strawberry.ID


@strawberry.input
class MessageSearchFilter:
    room_ids: list[strawberry.ID] | None = None
    author_ids: list[strawberry.ID] | None = None
    before: datetime | None = None
    after: datetime | None = None
    has_attachment: bool | None = None
