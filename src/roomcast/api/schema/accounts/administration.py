"""The door of administration: what administrators do to other people's accounts."""

import strawberry

from roomcast.accounts import administration, models
from roomcast.accounts.policy import SessionEndReason
from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, refusable
from roomcast.api.schema.accounts.accounts import UserPayload, end_afterwards
from roomcast.core.ids import local_id
from roomcast.rooms import invites


@strawberry.input
class SetUserRoleInput:
    user_id: strawberry.ID
    role: models.UserRole


@strawberry.input
class BanUserInput:
    user_id: strawberry.ID
    reason: str | None = None


@strawberry.input
class UnbanUserInput:
    user_id: strawberry.ID


@strawberry.type
class Mutation:
    @strawberry.mutation
    @refusable(UserPayload)
    async def set_user_role(self, info: Info, input: SetUserRoleInput) -> UserPayload:  # noqa: A002
        """Administrators only. The last one of them cannot become less."""
        context, user_id = info.context, local_id("user", input.user_id)
        async with context.backend.db.work() as work:
            user = await administration.set_user_role(work, context.actor, user_id, input.role)
            work.afterwards.append(lambda: context.backend.sessions.forget(user.id))
        await context.changed()
        return UserPayload(user=user)

    @strawberry.mutation
    @refusable(AckPayload)
    async def ban_user(self, info: Info, input: BanUserInput) -> AckPayload:  # noqa: A002
        """Administrators only. The account cannot be used any more: sessions, sockets and invites end everywhere."""
        context, user_id = info.context, local_id("user", input.user_id)
        async with context.backend.db.work() as work:
            ended = await administration.ban_user(work, context.actor, user_id, input.reason)
            await invites.revoke_all_of(work, user_id)
            end_afterwards(context, work, ended, SessionEndReason.BANNED)
        return AckPayload()

    @strawberry.mutation
    @refusable(AckPayload)
    async def unban_user(self, info: Info, input: UnbanUserInput) -> AckPayload:  # noqa: A002
        """Administrators only. The account may sign in again."""
        async with info.context.backend.db.work() as work:
            await administration.unban_user(work, info.context.actor, local_id("user", input.user_id))
        return AckPayload()
