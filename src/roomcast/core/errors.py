"""Errors that features raise. Only `api/errors.py` translates them into GraphQL errors and payload errors."""

from collections.abc import Sequence
from typing import ClassVar


class Refused(Exception):
    """The request is valid but refused, and nothing was changed.

    `path` names the argument at fault, e.g. ("input", "body"). `retry_after_ms` is set if the request can succeed
    later.
    """

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, path: Sequence[str] = (), retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = list(path) or None
        self.retry_after_ms = retry_after_ms


class Unavailable(Refused):
    """The database could not make the change in time, e.g. because another transaction held a lock."""

    code = "INTERNAL"
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} Nothing was changed; try again.", retry_after_ms=1_000)


class OutcomeUnknown(Exception):
    """The database did not confirm a commit, so the change may have been made. For that reason it is no `Refused`."""

    code: ClassVar[str] = "TIMEOUT"

    def __init__(self) -> None:
        self.message = "The database did not confirm the change in time. It may or may not have been made."
        super().__init__(self.message)


class ValidationFailed(Refused):
    code = "VALIDATION_FAILED"


class NotFound(Refused):
    """Also raised for things that the actor may not know of, so that they look the same as things that do not exist."""

    code = "NOT_FOUND"


class Forbidden(Refused):
    code = "FORBIDDEN"


class Conflict(Refused):
    code = "CONFLICT"


class InvalidCredentials(Refused):
    code = "INVALID_CREDENTIALS"


class SessionRevoked(Refused):
    code = "SESSION_REVOKED"


class RefreshTokenReused(Refused):
    code = "REFRESH_TOKEN_REUSED"


class RateLimited(Refused):
    """Too many requests or failed attempts. `retry_after_ms` says when to try again."""

    code = "RATE_LIMITED"
    retryable = True


class UsernameTaken(Refused):
    code = "USERNAME_TAKEN"


class EmailTaken(Refused):
    code = "EMAIL_TAKEN"


class PasswordTooWeak(Refused):
    code = "PASSWORD_TOO_WEAK"


class SignupClosed(Refused):
    code = "SIGNUP_CLOSED"


class NotAMember(Refused):
    code = "NOT_A_MEMBER"


class RoomArchived(Refused):
    code = "ROOM_ARCHIVED"


class ReadOnly(Refused):
    code = "READ_ONLY"


class Muted(Refused):
    """A moderator has muted the user in this room for some time."""

    code = "MUTED"
    retryable = True


class SlowMode(Refused):
    code = "SLOW_MODE"
    retryable = True


class InviteInvalid(Refused):
    """The invite is unknown, used up, expired or revoked. The error does not say which."""

    code = "INVITE_INVALID"


class Banned(Refused):
    code = "BANNED"


class IdempotencyKeyReused(Refused):
    code = "IDEMPOTENCY_KEY_REUSED"


class MessageTooLong(Refused):
    code = "MESSAGE_TOO_LONG"


class AttachmentNotReady(Refused):
    """The bytes of the file have not been uploaded yet."""

    code = "ATTACHMENT_NOT_READY"
    retryable = True


class UnsupportedMediaType(Refused):
    code = "UNSUPPORTED_MEDIA_TYPE"


class FileTooLarge(Refused):
    """The file has too many bytes, or the picture too many pixels."""

    code = "FILE_TOO_LARGE"


class MessageRejected(Refused):
    """Part of the API contract for message filters, which this version does not have."""

    code = "MESSAGE_REJECTED"


class QuotaExceeded(Refused):
    """The files of this user would exceed the storage quota of a user."""

    code = "QUOTA_EXCEEDED"


# ---- errors of the request itself: they are returned as top-level GraphQL errors, not in a payload


class Unauthenticated(Refused):
    code = "UNAUTHENTICATED"


class TokenExpired(Refused):
    """The access token has expired. The client can refresh it and retry."""

    code = "TOKEN_EXPIRED"
    retryable = True


class BadUserInput(Refused):
    code = "BAD_USER_INPUT"


class RequestTimedOut(Refused):
    """The client took too long to send its request."""

    code = "TIMEOUT"
    retryable = True


class StorageFull(Refused):
    """The disk has no space left for the upload."""

    code = "STORAGE_FULL"
    retryable = True


class ResumeExpired(Refused):
    code = "RESUME_EXPIRED"
