"""GraphQL over HTTP: one request, and a request that is repeated until it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from roomcast_client.errors import RoomcastError, payload_error, response_error
from roomcast_client.retry import Backoff

Json = dict[str, Any]
Answer = TypeVar("Answer")

CONNECTION_LOST = "CONNECTION_LOST"
"""Our own code for a request without an answer: whether the server executed it is unknown."""


class HttpApi:
    """The endpoint `/graphql` of a server. `timeout`: the seconds that one attempt may take."""

    def __init__(self, url: str, timeout: float) -> None:
        self._http = httpx.AsyncClient(timeout=timeout)
        self._endpoint = f"{url}/graphql"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def execute(self, document: str, variables: Mapping[str, Any], token: str | None) -> Json:
        """The data of one execution. Raises RoomcastError, also for errors in the payload of a mutation."""
        headers = {"accept": "application/graphql-response+json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        try:
            body = {"query": document, "variables": variables}
            response = await self._http.post(self._endpoint, json=body, headers=headers)
        except httpx.TransportError as error:
            raise RoomcastError(CONNECTION_LOST, repr(error), is_retryable=True) from error
        return _data(response)


async def repeat_until_answered(attempt: Callable[[], Awaitable[Answer]], limit_seconds: float) -> Answer:
    """Repeat a request that may be repeated, as long as its error is retryable and the time is not over.

    Raises the last RoomcastError at once if the server asks for a longer pause than the time that is left.
    """
    loop, backoff = asyncio.get_running_loop(), Backoff()
    end = loop.time() + limit_seconds
    while True:
        try:
            return await attempt()
        except RoomcastError as error:
            pause = backoff.next(error.retry_after)
            if not error.is_retryable or loop.time() + pause > end:
                raise
            await asyncio.sleep(pause)


def _data(response: httpx.Response) -> Json:
    try:
        answer = response.json()
        errors, data = answer.get("errors"), answer.get("data")
    except (ValueError, AttributeError):  # a proxy has answered
        is_retryable = response.status_code in (408, 429) or response.status_code >= 500
        text = f"status {response.status_code}, and no GraphQL answer"
        raise RoomcastError(CONNECTION_LOST, text, is_retryable=is_retryable) from None
    if errors:
        raise response_error(errors[0])
    for payload in (data or {}).values():
        if isinstance(payload, dict) and payload.get("errors"):
            raise payload_error(payload["errors"][0])
    return dict(data or {})
