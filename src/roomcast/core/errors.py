"""What can go wrong, in the product's words. Features raise these; `api/errors.py` alone translates them."""

from collections.abc import Sequence
from typing import ClassVar


class Refused(Exception):
    """The request was understood and turned down; nothing of it was done.

    `path` names the argument at fault, e.g. ("input", "body"). `retry_after_ms` is set where waiting helps.
    """

    code: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, path: Sequence[str] = (), retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = list(path) or None
        self.retry_after_ms = retry_after_ms


class Unavailable(Refused):
    """The database could not do it in time, e.g. because another transaction held a lock. Nothing was changed."""

    code = "INTERNAL"
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} Nothing was changed; try again.", retry_after_ms=1_000)


class OutcomeUnknown(Exception):
    """The database did not answer while the change was committed: it may have happened. Not a refusal."""

    code: ClassVar[str] = "TIMEOUT"

    def __init__(self) -> None:
        self.message = "The database did not confirm the change in time: it may have been made, or not."
        super().__init__(self.message)


class ValidationFailed(Refused):
    code = "VALIDATION_FAILED"


class NotFound(Refused):
    """Also for what the actor may not know of: a stranger cannot tell it from what never was."""

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
    """Too much of it at once, or too many failures: `retry_after_ms` says when it may be tried again."""

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
    """By a moderator, for a while."""

    code = "MUTED"
    retryable = True


class SlowMode(Refused):
    code = "SLOW_MODE"
    retryable = True


class InviteInvalid(Refused):
    """Unknown, used up, expired or revoked: nobody is told which."""

    code = "INVITE_INVALID"


class Banned(Refused):
    code = "BANNED"


class IdempotencyKeyReused(Refused):
    code = "IDEMPOTENCY_KEY_REUSED"


class MessageTooLong(Refused):
    code = "MESSAGE_TOO_LONG"


class AttachmentNotReady(Refused):
    """Its bytes have not come yet."""

    code = "ATTACHMENT_NOT_READY"
    retryable = True


class UnsupportedMediaType(Refused):
    code = "UNSUPPORTED_MEDIA_TYPE"


class FileTooLarge(Refused):
    """Too many bytes, or too many pixels."""

    code = "FILE_TOO_LARGE"


class QuotaExceeded(Refused):
    """The files of this person would take more bytes than a person may store."""

    code = "QUOTA_EXCEEDED"


# ---- refusals of the request itself: they have no place in a payload and are answered at the top level


class Unauthenticated(Refused):
    code = "UNAUTHENTICATED"


class TokenExpired(Refused):
    """The access token's time is over; a refreshed one will do."""

    code = "TOKEN_EXPIRED"
    retryable = True


class BadUserInput(Refused):
    code = "BAD_USER_INPUT"


class RequestTimedOut(Refused):
    """The client was waited for, and did not go on."""

    code = "TIMEOUT"
    retryable = True


class StorageFull(Refused):
    """The disk has no room for what is sent."""

    code = "STORAGE_FULL"
    retryable = True


class ResumeExpired(Refused):
    code = "RESUME_EXPIRED"
