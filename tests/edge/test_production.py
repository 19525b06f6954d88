"""The production profile passes the twelve checks of graphql-cop, written here as tests."""

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from roomcast.api.execution.limits import Limits
from tests.api_clients import AnonymousClient
from tests.conftest import MakeApp

TYPENAME = {"query": "query cop { __typename }"}
CHANGE = 'mutation cop { login(input: {usernameOrEmail: "a", password: "b"}) { errors { code } } }'


@pytest_asyncio.fixture
async def attacker(make_app: MakeApp) -> AsyncIterator[AnonymousClient]:
    async with AnonymousClient(await make_app(profile="production")) as client:
        yield client


def is_refused(answer: httpx.Response) -> bool:
    return "data" not in answer.json() and bool(answer.json()["errors"])


async def test_no_introspection(attacker: AnonymousClient) -> None:
    for query in ("query cop { __schema { types { name } } }", '{ __type(name: "User") { name } }'):
        assert is_refused(await attacker.post({"query": query}))


async def test_no_playground(attacker: AnonymousClient) -> None:
    for path in ("/graphql", "/graphiql", "/playground", "/console"):
        page = await attacker.http.get(path, headers={"accept": "text/html"})
        assert page.status_code in (404, 405)
        assert "html" not in page.headers["content-type"]


@pytest.mark.parametrize("query", [TYPENAME["query"], CHANGE, CHANGE.removeprefix("mutation cop")])
async def test_no_get(attacker: AnonymousClient, query: str) -> None:
    answer = await attacker.http.get("/graphql", params={"query": query})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_no_form_posts(attacker: AnonymousClient) -> None:
    assert (await attacker.http.post("/graphql", data=TYPENAME)).status_code == 415


async def test_no_batches(attacker: AnonymousClient) -> None:
    assert is_refused(await attacker.post([TYPENAME] * 10))


@pytest.mark.parametrize(
    ("limit", "query"),
    [
        ("aliases", "query cop { " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }"),
        ("directives", "query cop { __typename " + "@include(if: true) " * 60 + "}"),
        ("root_fields", "query cop { " + "__typename \n" * 400 + "}"),
        ("selections", "query cop { me { user { " + "id " * 600 + "} } }"),
        ("depth", "query cop { __schema { types { " + "fields { type { " * 8 + "name" + " } }" * 8 + " } } }"),
    ],
)
async def test_each_limit_is_enforced(attacker: AnonymousClient, limit: str, query: str) -> None:
    [error] = (await attacker.post({"query": query})).json()["errors"]
    assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    assert f"{limit} above {getattr(Limits(), limit)}" in error["message"]


async def test_unknown_directives_are_refused(attacker: AnonymousClient) -> None:
    answer = (await attacker.post({"query": "query cop { __typename " + "@aa" * 10 + " }"})).json()
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ rom { id } }", {}),
        ("{ rooms { nodess { id } } }", {}),
        ("{ rooms(frist: 1) { totalCount } }", {}),
        ("query ($id: IDD) { user(id: $id) { id } }", {}),
        ("{ ... on Usr { id } }", {}),
        ("{ rooms(filter: {membership: JOIND}) { totalCount } }", {}),
        ("{ __typename @skp(if: true) }", {}),
        ("mutation ($i: CreateRoomInput!) { createRoom(input: $i) { cursor } }", {"i": {"nam": "x"}}),
        (
            "mutation ($i: CreateRoomInput!) { createRoom(input: $i) { cursor } }",
            {"i": {"name": "x", "visibility": "PUBLI"}},
        ),
    ],
)
async def test_no_suggestions(attacker: AnonymousClient, query: str, variables: dict[str, object]) -> None:
    answer = await attacker.post({"query": query, "variables": variables})
    assert is_refused(answer)
    assert not re.search(r"did you mean|CreateRoomInput\.name|PUBLIC\b|JOINED", answer.text, re.IGNORECASE)


async def test_no_tracing_and_no_traceback(attacker: AnonymousClient) -> None:
    answer = await attacker.post({**TYPENAME, "extensions": {"tracing": True, "debug": True}})
    assert answer.json() == {"data": {"__typename": "Query"}}
    for query in ("{", "{ user(id: 5) { id } }", "\x00", "query ($x: X) { a }"):
        assert "Traceback" not in (await attacker.post({"query": query})).text


async def test_no_persisted_query_is_learned(attacker: AnonymousClient) -> None:
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    answer = (await attacker.post({"extensions": extensions})).json()
    assert [error["message"] for error in answer["errors"]] == ["PersistedQueryNotSupported"]


async def test_each_setting_overrides_its_part_of_the_profile(make_app: MakeApp) -> None:
    on = dict.fromkeys(("introspection", "playground", "get_queries", "persisted_queries"), "on")
    async with AnonymousClient(await make_app(profile="production", **on)) as anonymous:
        assert (
            "data" in (await anonymous.http.get("/graphql", params={"query": "{ __schema { types { name } } }"})).json()
        )
        page = await anonymous.http.get("/graphql", headers={"accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")
    off = {"extensions": json.dumps({"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}})}
    async with AnonymousClient(await make_app(introspection="off", playground="off", get_queries="off")) as anonymous:
        assert (await anonymous.http.get("/graphql", params=off)).status_code == 405
        assert is_refused(await anonymous.post({"query": "{ __schema { types { name } } }"}))
