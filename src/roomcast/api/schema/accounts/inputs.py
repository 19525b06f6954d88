"""GraphQL inputs of accounts."""

from typing import Any

import strawberry

from roomcast.accounts import models
from roomcast.accounts.actions import UNCHANGED


def unset_to_unchanged(value: Any) -> Any:
    """The value of an input field, null included. UNCHANGED if the client omitted the field."""
    return UNCHANGED if value is strawberry.UNSET else value


@strawberry.input
class UserFilter:
    query: str | None = strawberry.field(
        default=None, description="Text anywhere in a username or display name. Case and accents are ignored."
    )
    role: models.UserRole | None = None


@strawberry.input
class SignupInput:
    username: str
    password: str
    email: str | None = None
    display_name: str | None = None
    invite_code: str | None = strawberry.field(
        default=None,
        description="An invite to a room, which the new account joins. Required if the signup mode is INVITE_ONLY.",
    )
    device_name: str | None = None
    setup_token: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Required for the first account in production. The server logs it when it starts without accounts.",
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
    description="Omitted fields stay unchanged. Null clears a field; a cleared display name becomes the username."
)
class UpdateProfileInput:
    display_name: str | None = strawberry.UNSET
    bio: str | None = strawberry.UNSET
    email: str | None = strawberry.UNSET
    current_password: str | None = strawberry.field(default=strawberry.UNSET, description="Required to change `email`.")
    avatar_upload_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="A completed upload of the viewer. It must be a PNG, JPEG, GIF or WebP picture.",
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
