"""The filter of the list of users."""

import strawberry

from roomcast.accounts import models


@strawberry.input(description="Which users to list. A field that is left out, or null, excludes none.")
class UserFilter:
    query: str | None = strawberry.field(
        default=None, description="Text anywhere in a username or display name. Case and accents are ignored."
    )
    role: models.UserRole | None = strawberry.field(default=None, description="Only users with this role.")
