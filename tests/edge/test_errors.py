"""Top-level errors: every code is produced, ours are masked and logged once, clients' leave no word in the log."""

import logging
from typing import Any

import pytest
from graphql import GraphQLError

from roomcast.api import errors
from roomcast.api.errors import format_error
from roomcast.api.execution.limits import Limits
from roomcast.core.errors import Forbidden, RateLimited, ResumeExpired
from tests.api_clients import AnonymousClient, Json, UserClient
from tests.running_app import RunningApp

REQUESTS: list[tuple[str, Json]] = [
    ("UNAUTHENTICATED", {"query": "{ rooms { totalCount } }"}),
    ("BAD_USER_INPUT", {"query": "query ($id: ID!) { user(id: $id) { id } }"}),
    ("GRAPHQL_PARSE_FAILED", {"query": "{"}),
    ("GRAPHQL_VALIDATION_FAILED", {"query": "{ nothing }"}),
    ("OPERATION_NOT_FOUND", {"query": "{ __typename }", "operationName": "A"}),
    ("QUERY_TOO_COMPLEX", {"query": "{ " + "__typename " * 50 + "}"}),
    ("PERSISTED_QUERY_NOT_FOUND", {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}),
]
REFUSALS = [Forbidden("no"), RateLimited("wait", retry_after_ms=1500), ResumeExpired("gone")]


@pytest.mark.parametrize(("code", "request_"), REQUESTS, ids=[code for code, _ in REQUESTS])
async def test_a_clients_mistake_has_its_code_and_no_place_in_the_log(
    anonymous: AnonymousClient, caplog: pytest.LogCaptureFixture, code: str, request_: Json
) -> None:
    with caplog.at_level(logging.INFO):
        answer = await anonymous.post(request_)
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == code
    assert error["extensions"]["requestId"] == answer.headers["x-request-id"]
    assert error["extensions"]["retryable"] is (code in errors.RETRYABLE)
    assert [record for record in caplog.records if record.name.startswith("roomcast")] == []


def shown(cause: Exception) -> Json:
    error = GraphQLError(str(cause), original_error=cause)
    return format_error(error, "request-7")


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.code))
def test_a_refusal_of_the_product_keeps_its_code_and_its_wait(refusal: Any) -> None:
    extensions = shown(refusal)["extensions"]
    assert extensions["code"] == refusal.code
    assert extensions.get("retryAfterMs") == refusal.retry_after_ms


def test_what_is_ours_is_masked_and_logged_once_with_its_request(caplog: pytest.LogCaptureFixture) -> None:
    error = shown(RuntimeError("SELECT password_hash FROM users"))
    assert error["message"] == "Something went wrong on our side."
    assert error["extensions"] == {"code": "INTERNAL", "retryable": True, "requestId": "request-7"}
    [record] = caplog.records
    assert "request-7" in record.getMessage()
    assert record.exc_info


async def test_an_operation_that_takes_too_long_is_stopped(app: RunningApp, ann: UserClient) -> None:
    app.roomcast.http._engine.limits = Limits(operation_seconds=0.0)
    answer = (await ann.post({"query": "{ rooms { totalCount } }"})).json()
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TIMEOUT"]
    assert answer["errors"][0]["extensions"]["retryable"] is True


@pytest.mark.parametrize("wrong", ["PUBLI", "public", 5])
async def test_no_value_is_suggested(ann: UserClient, wrong: object) -> None:
    document = "mutation ($input: CreateRoomInput!) { createRoom(input: $input) { cursor } }"
    answer = await ann.post({"query": document, "variables": {"input": {"name": "x", "visibility": wrong}}})
    assert "mean" not in answer.text
    literal = f'mutation {{ createRoom(input: {{name: "x", visibility: {wrong}}}) {{ cursor }} }}'
    assert "mean" not in (await ann.post({"query": literal})).text
