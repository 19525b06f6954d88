"""The door of reactions: emoji under messages, and whose they are."""

import strawberry

from roomcast.api.context import SHARED, Context, Info, Maybe, map_maybe
from roomcast.api.schema.accounts.accounts import UserConnection
from roomcast.api.schema.connections import Connected, connected
from roomcast.core.paging import window
from roomcast.messages import reactions


@strawberry.type(description="All who put the same emoji under a message.")
class ReactionGroup:
    emoji: str
    count: int

    @strawberry.field(graphql_type=bool)
    def viewer_has_reacted(self, group: strawberry.Parent[reactions.Group], info: Info) -> Maybe[bool]:
        mine = info.context.own_emoji.now((group.message_id, info.context.actor.user_id))
        return map_maybe(mine, lambda found: group.emoji in (found or ()))

    @strawberry.field(graphql_type=UserConnection, metadata=SHARED)
    async def users(
        self, group: strawberry.Parent[reactions.Group], info: Info, first: int | None = None, after: str | None = None
    ) -> Connected:
        """The first to react first."""
        async with info.context.snapshot.session() as session:
            page = await reactions.reacted(session, group, window(first, after))
        return connected(page, count=lambda: _count(info.context, group))


async def _count(context: Context, group: reactions.Group) -> int:
    async with context.snapshot.session() as session:
        return await reactions.reacted_count(session, group.message_id, group.emoji)
