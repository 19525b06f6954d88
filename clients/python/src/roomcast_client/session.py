"""The tokens of a session. One renewal runs at a time, however many requests and sockets wait for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from roomcast_client.errors import RoomcastError, SignInRequired
from roomcast_client.http import HttpApi, repeat_until_answered

RENEW_BEFORE = timedelta(seconds=30)
"""Clocks may differ by so much, and a request may take so long."""

TOKENS: Final = "tokens { accessToken accessTokenExpiresAt refreshToken }"
REFRESH: Final = (
    "mutation Refresh($input: RefreshSessionInput!) "
    f"{{ refreshSession(input: $input) {{ errors {{ code message retryable retryAfterMs }} {TOKENS} }} }}"
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program stores to stay signed in. A refresh token is used once: store each new pair."""

    access_token: str
    expires_at: datetime
    refresh_token: str

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        return cls(data["accessToken"], datetime.fromisoformat(data["accessTokenExpiresAt"]), data["refreshToken"])


class Session:
    """`on_tokens` is called with each new pair, before it is used."""

    def __init__(self, api: HttpApi, tokens: Tokens | None, on_tokens: Callable[[Tokens], None] | None) -> None:
        self._api, self._tokens, self._on_tokens = api, tokens, on_tokens
        self._renewing = asyncio.Lock()
        self._trusts_clock = True
        """False if a new token seems to have expired: then the server says when it has."""

    def store(self, tokens: Tokens) -> None:
        """Use tokens that have just come from the server."""
        if self._on_tokens is not None:
            self._on_tokens(tokens)
        self._tokens = tokens
        self._trusts_clock = tokens.expires_at > datetime.now(UTC)

    def forget(self) -> None:
        self._tokens = None

    async def access_token(self, refused: str | None = None) -> str:
        """A token that is valid now. `refused`: a token that the server has called expired; it is renewed in any case.

        Raises SignInRequired if there is no session, or it has ended.
        """
        async with self._renewing:
            if self._tokens is None:
                raise SignInRequired("UNAUTHENTICATED", "call login first")
            is_due = self._trusts_clock and self._tokens.expires_at - datetime.now(UTC) < RENEW_BEFORE
            if is_due or self._tokens.access_token == refused:
                await self._renew(self._tokens)
            return self._tokens.access_token

    async def _renew(self, tokens: Tokens) -> None:
        """The same refresh token may be presented again when an answer was lost."""
        variables = {"input": {"refreshToken": tokens.refresh_token}}
        try:
            data = await repeat_until_answered(lambda: self._api.execute(REFRESH, variables, None), 60)
        except RoomcastError as error:
            if error.is_retryable:
                raise
            self.forget()
            raise SignInRequired(error.code, "the session has ended: call login again") from error
        self.store(Tokens.read(data["refreshSession"]["tokens"]))
