"""Translates exceptions into the errors that clients read: errors in mutation payloads and coded top-level errors.

An exception without a code is a defect of the server. The client reads INTERNAL without details, and the exception is
logged once with the request id.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import strawberry
from graphql import GraphQLError

from roomcast.api.enums import describe_enum
from roomcast.core.errors import OutcomeUnknown, Refused
from roomcast.core.outages import is_outage
from roomcast.core.telemetry import request_fields
from roomcast.realtime.ports import Failure

logger = logging.getLogger("roomcast.api")


@strawberry.enum(
    description="The code of an error in a payload. docs/errors.md says what each means. New ones may follow."
)
class ErrorCode(StrEnum):
    VALIDATION_FAILED = "VALIDATION_FAILED"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    CONFLICT = "CONFLICT"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    SESSION_REVOKED = "SESSION_REVOKED"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"
    USERNAME_TAKEN = "USERNAME_TAKEN"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    PASSWORD_TOO_WEAK = "PASSWORD_TOO_WEAK"
    SIGNUP_CLOSED = "SIGNUP_CLOSED"
    INVITE_INVALID = "INVITE_INVALID"
    NOT_A_MEMBER = "NOT_A_MEMBER"
    ROOM_ARCHIVED = "ROOM_ARCHIVED"
    READ_ONLY = "READ_ONLY"
    MUTED = "MUTED"
    BANNED = "BANNED"
    SLOW_MODE = "SLOW_MODE"
    RATE_LIMITED = "RATE_LIMITED"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    MESSAGE_TOO_LONG = "MESSAGE_TOO_LONG"
    ATTACHMENT_NOT_READY = "ATTACHMENT_NOT_READY"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    MESSAGE_REJECTED = "MESSAGE_REJECTED"


describe_enum(
    ErrorCode,
    "Why a mutation was refused. New codes may be added at any time: use a default branch.",
    VALIDATION_FAILED="An argument has an invalid value.",
    NOT_FOUND="The object does not exist, or the viewer may not know about it.",
    FORBIDDEN="The viewer may not do this.",
    CONFLICT="The state has changed or does not allow this, for example `expectedRevision` is outdated.",
    INVALID_CREDENTIALS="Wrong username or password, or an invalid refresh token.",
    SESSION_REVOKED="The session of this refresh token has ended.",
    REFRESH_TOKEN_REUSED="The refresh token was replaced by a newer one that is in use. The session has ended.",  # noqa: S106 (a code)
    USERNAME_TAKEN="The username, or one that looks like it, is taken or reserved.",
    EMAIL_TAKEN="Another account has this e-mail address.",
    PASSWORD_TOO_WEAK="The password is too short, too long, too common, or the username.",  # noqa: S106 (a code)
    SIGNUP_CLOSED="This server does not accept sign-ups, or only with an invite.",
    INVITE_INVALID="The invite is unknown, used up, expired or revoked.",
    NOT_A_MEMBER="This needs membership in the room.",
    ROOM_ARCHIVED="The room is archived.",
    READ_ONLY="The viewer has the role READ_ONLY in the room.",
    MUTED="A moderator has muted the viewer.",
    BANNED="The account is banned.",
    SLOW_MODE="The pause between two messages is not over.",
    RATE_LIMITED="Too many requests, or too many failures.",
    IDEMPOTENCY_KEY_REUSED="The key was used for other content.",
    MESSAGE_TOO_LONG="The body is longer than `serverInfo.limits.maxMessageLength`.",
    ATTACHMENT_NOT_READY="The bytes of an attachment have not arrived.",
    UNSUPPORTED_MEDIA_TYPE="The file is not what it claims to be, or cannot be used here.",
    FILE_TOO_LARGE="Too many bytes or pixels.",
    QUOTA_EXCEEDED="The files of the user would exceed the quota.",
    MESSAGE_REJECTED="A message filter has refused the message. This version of the server has no filters.",
)


@strawberry.type(description="Why a mutation was refused. A refused mutation has changed nothing.")
class UserError:
    code: ErrorCode = strawberry.field(description="The kind of the error. Programs switch on it.")
    message: str = strawberry.field(
        description="An explanation for developers, in English. Programs should check `code`, not `message`."
    )
    path: list[str] | None = strawberry.field(
        default=None,
        description='The argument that caused the error, e.g. ["input", "body"]. Null when no single one did.',
    )
    retryable: bool = strawberry.field(
        default=False,
        description="Whether the same request may succeed later. If it has an idempotency key, keep the key.",
    )
    retry_after_ms: int | None = strawberry.field(
        default=None, description="Wait this long before the next try. Null if waiting does not help."
    )


@strawberry.interface(
    description="Implemented by the payloads of all mutations. `errors` is empty on success. After an error, the "
    "other fields are null."
)
class MutationPayload:
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Empty if the mutation succeeded. Otherwise it changed nothing."
    )


def user_error(refused: Refused) -> UserError:
    """The refusal as an error of a payload.

    Raises the refusal again if its code is none of a payload, e.g. UNAUTHENTICATED: it becomes a top-level error.
    """
    if refused.code not in ErrorCode.__members__:
        raise refused
    return UserError(
        code=ErrorCode(refused.code),
        message=refused.message,
        path=refused.path,
        retryable=refused.retryable,
        retry_after_ms=refused.retry_after_ms,
    )


# ------------------------------------------------------------------ top-level errors

RETRYABLE = frozenset({refusal.code for refusal in Refused.__subclasses__() if refusal.retryable}) | {
    "PERSISTED_QUERY_NOT_FOUND"
}
"""Codes of retryable errors. `core/errors.py` decides for each class of refusals. Persisted queries have no class: the
client sends the request again with the text of the document."""

INTERNAL_MESSAGE = "Something went wrong on our side."

DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
"""`extensions.reason` of an INTERNAL error during an outage of the database. Over HTTP the status is then 503."""

UNAVAILABLE_MESSAGE = "The database is not available. Try again."
_OUTAGE = {"reason": DATABASE_UNAVAILABLE}

RETRY_AFTER_MS = 1_000
"""How long clients are asked to wait during an outage."""

STREAM_FAILURES = {
    Failure.INTERNAL: INTERNAL_MESSAGE,
    Failure.EXPIRED: "The position of the stream is no longer in the event log. Fetch the history and subscribe again.",
}


def coded_error(code: str, message: str, **extensions: Any) -> GraphQLError:
    """A top-level error with a code that clients know."""
    return GraphQLError(message, extensions={"code": code, **extensions})


def stream_failure(failure: Failure) -> GraphQLError:
    """The error that ends a subscription which cannot continue."""
    return coded_error(failure.value, STREAM_FAILURES[failure])


def unexpected_error(error: Exception, request_id: str) -> GraphQLError:
    """The error for a request that failed before it was executed, so nothing was changed. Logs a defect; an outage of
    the database is logged once by `Database`, not for each request."""
    if is_outage(error):
        return coded_error("INTERNAL", UNAVAILABLE_MESSAGE, **_OUTAGE, retryAfterMs=RETRY_AFTER_MS)
    logger.error("request %s failed", request_id, exc_info=error, extra=request_fields(request_id))
    return coded_error("INTERNAL", INTERNAL_MESSAGE)


def is_unavailable(payload: Mapping[str, Any]) -> bool:
    """Whether a response has errors of an outage of the database and no data beside them."""
    data = payload.get("data") or {}
    return all(value is None for value in data.values()) and any(
        error["extensions"].get("reason") == DATABASE_UNAVAILABLE for error in payload.get("errors", ())
    )


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """Give a code to an error of graphql-core that the client caused.

    The original exception is dropped: it would be reported as a defect of the server.
    """
    return GraphQLError(error.message, error.nodes, error.source, error.positions, extensions={"code": code})


def format_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """The error as clients read it: message, locations, path, and extensions with code, retryable and requestId."""
    message, extensions = _message_and_extensions(error, request_id)
    formatted: dict[str, Any] = {"message": message}
    if error.locations:
        formatted["locations"] = [{"line": location.line, "column": location.column} for location in error.locations]
    if error.path:
        formatted["path"] = error.path
    formatted["extensions"] = {"requestId": request_id, "retryable": extensions["code"] in RETRYABLE, **extensions}
    return formatted


def _message_and_extensions(error: GraphQLError, request_id: str) -> tuple[str, dict[str, Any]]:
    cause = root_cause(error)
    if isinstance(cause, Refused):
        extensions: dict[str, Any] = {"code": cause.code}
        if cause.retry_after_ms is not None:
            extensions["retryAfterMs"] = cause.retry_after_ms
        if cause.path:
            extensions["argumentPath"] = cause.path
        return cause.message, extensions
    if isinstance(cause, OutcomeUnknown):
        return cause.message, {"code": cause.code}
    if error.extensions and "code" in error.extensions:
        return error.message, dict(error.extensions)
    # graphql-core reports one mistake of clients only during execution: a null variable for a non-null argument.
    if cause is None and error.message.startswith("Argument "):
        return error.message, {"code": "BAD_USER_INPUT"}
    if cause is not None and is_outage(cause):  # `Database` logs it
        return UNAVAILABLE_MESSAGE, {"code": "INTERNAL", **_OUTAGE}
    logger.error("internal error, request %s", request_id, exc_info=cause or error, extra=request_fields(request_id))
    return INTERNAL_MESSAGE, {"code": "INTERNAL"}


def root_cause(error: GraphQLError) -> BaseException | None:
    """The exception behind the error. graphql-core may wrap one GraphQLError in another."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
