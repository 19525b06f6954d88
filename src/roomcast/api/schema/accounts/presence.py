"""The GraphQL type of a user's presence."""

from datetime import datetime

import strawberry

from roomcast.accounts import models as account_rows
from roomcast.api.context import Info
from roomcast.presence import people

strawberry.enum(people.PresenceState)


@strawberry.type
class Presence:
    state: people.PresenceState
    last_active_at: datetime | None = strawberry.field(
        description="Accurate to half a minute. Null if it is not known."
    )
    status_text: str | None
    status_emoji: str | None


def presence_of(user: strawberry.Parent[account_rows.User], info: Info) -> people.Presence:
    return info.context.backend.presence.people.presence(user.id)
