"""The filter of the audit log."""

from datetime import datetime

import strawberry


@strawberry.input(description="Which entries to list. A field that is left out, or null, excludes none.")
class AuditFilter:
    actor_id: strawberry.ID | None = strawberry.field(default=None, description="Only actions of this user.")
    action: str | None = strawberry.field(default=None, description="Only this action, e.g. USER_BANNED.")
    target_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only actions on this user, room or message."
    )
    since: datetime | None = strawberry.field(default=None, description="Only actions from then on.")
