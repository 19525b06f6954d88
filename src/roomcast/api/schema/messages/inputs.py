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
        description="A new UUID for each message: its idempotency key and its id for optimistic updates. Sending the "
        "same key and content again returns the original message. Other content with the same key fails with "
        "IDEMPOTENCY_KEY_REUSED. Keys never expire.",
    )
    reply_to_id: strawberry.ID | None = None
    thread_root_id: strawberry.ID | None = strawberry.field(
        default=None, description="Send a reply in the thread of this message. Threads are not nested."
    )
    attachment_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Completed uploads of the sender, at most 10. Each can be used once. With attachments, the body "
        "may be empty.",
    )


@strawberry.input
class EditMessageInput:
    message_id: strawberry.ID
    body: str
    expected_revision: int | None = strawberry.field(
        default=None, description="Fail with CONFLICT if the message has another revision."
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
