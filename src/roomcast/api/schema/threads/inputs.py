"""GraphQL inputs of threads."""

import strawberry


@strawberry.input
class MarkThreadReadInput:
    thread_root_id: strawberry.ID = strawberry.field(description="The first message of the thread.")
    up_to_message_id: strawberry.ID = strawberry.field(
        description="The last reply that the viewer has read. What the viewer has read never moves back."
    )


@strawberry.input
class SetThreadFollowingInput:
    thread_root_id: strawberry.ID = strawberry.field(
        description="The first message of the thread. It need not have replies yet."
    )
    following: bool = strawberry.field(
        description="Following begins at the newest reply: earlier ones are not unread. False also holds when the "
        "viewer replies or is mentioned later."
    )
