"""Mutations that register browsers for push notifications."""

import strawberry

from roomcast.api.context import Info
from roomcast.api.errors import AckPayload, errors_in_payload
from roomcast.api.schema.notifications.inputs import RegisterPushSubscriptionInput, UnregisterPushSubscriptionInput
from roomcast.notifications import actions
from roomcast.notifications.actions import NewSubscription
from roomcast.notifications.policy import check_push_enabled


@strawberry.type
class Mutation:
    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def register_push_subscription(self, info: Info, input: RegisterPushSubscriptionInput) -> AckPayload:  # noqa: A002
        """Send push notifications to this browser until the session ends. Repeating it changes nothing."""
        actor, backend = info.context.actor, info.context.backend
        sender = await check_push_enabled(backend.notifier).sender()
        await sender.check(input.endpoint, input.p256dh)
        async with backend.db.work() as work:
            await actions.register_subscription(work, actor, NewSubscription(input.endpoint, input.p256dh, input.auth))
        return AckPayload()

    @strawberry.mutation
    @errors_in_payload(AckPayload)
    async def unregister_push_subscription(self, info: Info, input: UnregisterPushSubscriptionInput) -> AckPayload:  # noqa: A002
        """Stop push notifications to this browser. It succeeds even if the browser is not registered."""
        actor = info.context.actor
        async with info.context.backend.db.work() as work:
            await actions.unregister_subscription(work, actor, input.endpoint)
        return AckPayload()
