"""GraphQL inputs of accounts."""

import strawberry

from roomcast.accounts import models


@strawberry.input
class UserFilter:
    query: str | None = strawberry.field(
        default=None, description="Found anywhere in a username or display name, whatever its case and accents."
    )
    role: models.UserRole | None = None


@strawberry.input
class SignupInput:
    username: str
    password: str
    email: str | None = None
    display_name: str | None = None
    invite_code: str | None = strawberry.field(
        default=None, description="An invite to a room: it also admits where signup is by invitation, and is joined."
    )
    device_name: str | None = None
    setup_token: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="In production the first account needs it: the server logs it when it starts without accounts.",
    )


@strawberry.input
class LoginInput:
    username_or_email: str
    password: str
    device_name: str | None = None


@strawberry.input
class RefreshSessionInput:
    refresh_token: str


@strawberry.input
class RevokeSessionInput:
    session_id: strawberry.ID


@strawberry.input
class ChangePasswordInput:
    current_password: str
    new_password: str


@strawberry.input(
    description="What is left out stays as it is. Null clears a field; a display name becomes the username."
)
class UpdateProfileInput:
    display_name: str | None = strawberry.UNSET
    bio: str | None = strawberry.UNSET
    email: str | None = strawberry.UNSET
    current_password: str | None = strawberry.field(default=strawberry.UNSET, description="Needed for another `email`.")
    avatar_upload_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="A finished upload of the viewer's: a PNG, JPEG, GIF or WebP."
    )


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
