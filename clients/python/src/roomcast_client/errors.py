"""What the server refuses, as exceptions. The codes are those of the server's `docs/errors.md`."""

from collections.abc import Mapping
from typing import Any


class RoomcastError(Exception):
    """The server has refused a request. Decide by `code`; the message is for developers.

    `is_retryable`: the same request may succeed later, after `retry_after` seconds if that is known. `path` names the
    argument at fault. `request_id` finds the request in the server's log.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        is_retryable: bool = False,
        retry_after: float | None = None,
        path: tuple[str, ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.is_retryable, self.retry_after = code, is_retryable, retry_after
        self.path, self.request_id = path, request_id


class SignInRequired(RoomcastError):
    """There is no session, or it has ended. Call `Roomcast.login`."""


def payload_error(error: Mapping[str, Any]) -> RoomcastError:
    """From an entry of `errors` in the payload of a mutation."""
    return RoomcastError(
        error["code"],
        error["message"],
        is_retryable=bool(error.get("retryable")),
        retry_after=_seconds(error.get("retryAfterMs")),
        path=tuple(error.get("path") or ()),
    )


def response_error(error: Mapping[str, Any]) -> RoomcastError:
    """From an entry of the top-level `errors` of a response, or of an `error` message on the socket."""
    extensions = error.get("extensions") or {}
    code = extensions.get("code", "UNKNOWN")
    kind = SignInRequired if code == "UNAUTHENTICATED" else RoomcastError
    return kind(
        code,
        error["message"],
        is_retryable=bool(extensions.get("retryable")),
        retry_after=_seconds(extensions.get("retryAfterMs")),
        path=tuple(extensions.get("argumentPath") or ()),
        request_id=extensions.get("requestId"),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
