"""Mutations of notifications."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, errors_in_payload
from roomcast.api.schema.notifications.inputs import RegisterPushSubscriptionInput, UnregisterPushSubscriptionInput
from roomcast.notifications import actions
from roomcast.notifications.actions import Browser
from roomcast.notifications.policy import check_on


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def register_push_subscription(self, info: Info, input: RegisterPushSubscriptionInput) -> AckPayload:  # noqa: A002
        """This browser is told what the viewer misses, until the session ends. Repeating it changes nothing."""
        actor, backend = info.context.actor, info.context.backend
        sender = await check_on(backend.notifier).sender()
        await sender.check(input.endpoint, input.p256dh)
        async with backend.db.work() as work:
            await actions.register(work, actor, Browser(input.endpoint, input.p256dh, input.auth))
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def unregister_push_subscription(self, info: Info, input: UnregisterPushSubscriptionInput) -> AckPayload:  # noqa: A002
        """This browser is told nothing any more, whether it was or not."""
        actor = info.context.actor
        async with info.context.backend.db.work() as work:
            await actions.unregister(work, actor, input.endpoint)
        return AckPayload()
