"""GraphQL inputs of push notifications. The fields are those of a browser's PushSubscription."""

import strawberry

from roomcast.api.schema.scalars import URL


@strawberry.input
class RegisterPushSubscriptionInput:
    endpoint: URL
    p256dh: str
    auth: str


@strawberry.input
class UnregisterPushSubscriptionInput:
    endpoint: URL
