"""The one table from what goes wrong to what a client reads: payload errors, coded top-level errors, HTTP statuses.

Whatever is in none of its rows is ours, not the client's: masked, and logged once with the request's id.
"""

import functools
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar

import strawberry
from graphql import GraphQLError

from roomcast.core.errors import OutcomeUnknown, Refused
from roomcast.realtime.ports import Failure

logger = logging.getLogger("roomcast.api")

P = ParamSpec("P")
Payload = TypeVar("Payload")


@strawberry.enum
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


@strawberry.type
class UserError:
    code: ErrorCode
    message: str = strawberry.field(
        description="English, for developers. Clients switch on `code`, never on `message`."
    )
    path: list[str] | None = strawberry.field(
        default=None,
        description='Path inside the arguments, e.g. ["input", "body"]. Null when no single field is at fault.',
    )
    retryable: bool = strawberry.field(
        default=False, description="True when the same request, with the same idempotency key, may succeed later."
    )
    retry_after_ms: int | None = None


@strawberry.interface(
    description="Every mutation payload. An empty list means success; on failure the other fields are null."
)
class MutationPayload:
    errors: list[UserError] = strawberry.field(default_factory=list)


@strawberry.type
class AckPayload(MutationPayload):
    """Done, and there is nothing to show."""


def errors_in_payload(
    payload: Callable[..., Payload],
) -> Callable[[Callable[P, Awaitable[Payload]]], Callable[P, Awaitable[Payload]]]:
    """A mutation whose refusals are answered in its payload's `errors`. Refusals of the request itself pass."""

    def decorate(resolver: Callable[P, Awaitable[Payload]]) -> Callable[P, Awaitable[Payload]]:
        @functools.wraps(resolver)
        async def answered(*args: P.args, **kwargs: P.kwargs) -> Payload:
            try:
                return await resolver(*args, **kwargs)
            except Refused as refused:
                if refused.code not in ErrorCode.__members__:
                    raise
                return payload(errors=[user_error(refused)])

        return answered

    return decorate


def user_error(refused: Refused) -> UserError:
    return UserError(
        code=ErrorCode(refused.code),
        message=refused.message,
        path=refused.path,
        retryable=refused.retryable,
        retry_after_ms=refused.retry_after_ms,
    )


# ------------------------------------------------------------------ top level

RETRYABLE = frozenset(
    {"RATE_LIMITED", "TIMEOUT", "TOKEN_EXPIRED", "PERSISTED_QUERY_NOT_FOUND", "STORAGE_FULL", "INTERNAL"}
)


FAILURES = {
    Failure.INTERNAL: "Something went wrong on our side.",
    Failure.EXPIRED: "the log has lost what this stream would go on from; fetch the history and subscribe anew",
}


def coded_error(code: str, message: str, **extensions: Any) -> GraphQLError:
    """A top-level error of ours."""
    return GraphQLError(message, extensions={"code": code, **extensions})


def stream_failure(failure: Failure) -> GraphQLError:
    """What a stream that cannot go on tells its client."""
    return coded_error(failure.value, FAILURES[failure])


def with_code(error: GraphQLError, code: str) -> GraphQLError:
    """The library's own error about what a client sent, under a code of ours. Its cause is the client's doing too."""
    return GraphQLError(error.message, error.nodes, error.source, error.positions, extensions={"code": code})


def format_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """What a client reads of an error: message, place, and extensions with code, retryable and requestId."""
    message, extensions = _told(error, request_id)
    shown: dict[str, Any] = {"message": message}
    if error.locations:
        shown["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        shown["path"] = error.path
    shown["extensions"] = {"requestId": request_id, "retryable": extensions["code"] in RETRYABLE, **extensions}
    return shown


def _told(error: GraphQLError, request_id: str) -> tuple[str, dict[str, Any]]:
    cause = root_cause(error)
    if isinstance(cause, Refused):
        return cause.message, _of_refusal(cause)
    if isinstance(cause, OutcomeUnknown):
        return cause.message, {"code": cause.code}
    if error.extensions and "code" in error.extensions:
        return error.message, dict(error.extensions)
    # The one library error that a client can cause while an operation runs: a variable in an argument that is not null.
    if cause is None and error.message.startswith("Argument "):
        return error.message, {"code": "BAD_USER_INPUT"}
    logger.error("internal error, request %s", request_id, exc_info=cause or error)
    return "Something went wrong on our side.", {"code": "INTERNAL"}


def root_cause(error: GraphQLError) -> BaseException | None:
    """The exception at the bottom: the library wraps one error in another."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _of_refusal(refused: Refused) -> dict[str, Any]:
    extensions: dict[str, Any] = {"code": refused.code}
    if refused.retry_after_ms is not None:
        extensions["retryAfterMs"] = refused.retry_after_ms
    if refused.path:
        extensions["argumentPath"] = refused.path
    return extensions
