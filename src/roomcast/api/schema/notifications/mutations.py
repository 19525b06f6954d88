"""Mutations that register browsers for push notifications. Their inputs have the fields of a PushSubscription."""

from typing import Annotated

import strawberry

from roomcast.api.context import Info
from roomcast.api.schema.mutation import describe, mutation
from roomcast.api.schema.scalars import URL
from roomcast.notifications import actions
from roomcast.notifications.actions import NewSubscription
from roomcast.notifications.policy import check_push_enabled


@strawberry.type
class Mutation:
    @mutation
    async def register_push_subscription(
        self,
        info: Info,
        endpoint: Annotated[URL, describe("The address of the push service for this browser.")],
        p256dh: Annotated[str, describe("The browser's public key, in base64url.")],
        auth: Annotated[str, describe("The browser's authentication secret, in base64url.")],
    ) -> None:
        """Send push notifications to this browser until the session ends. Repeating it changes nothing.

        Announces nothing. Errors: VALIDATION_FAILED, FORBIDDEN (this server sends no push notifications).
        """
        backend = info.context.backend
        sender = await check_push_enabled(backend.notifier).sender()
        await sender.check(endpoint, p256dh)
        async with backend.db.work() as work:
            await actions.register_subscription(work, info.context.actor, NewSubscription(endpoint, p256dh, auth))

    @mutation
    async def unregister_push_subscription(
        self,
        info: Info,
        endpoint: Annotated[URL, describe("The endpoint of the subscription.")],
    ) -> None:
        """Stop push notifications to this browser. It succeeds even if the browser is not registered.

        Announces nothing. It has no errors of its own.
        """
        async with info.context.backend.db.work() as work:
            await actions.unregister_subscription(work, info.context.actor, endpoint)
