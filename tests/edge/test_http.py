"""GraphQL over HTTP: methods, bodies, CORS, response headers, persisted documents."""

import gzip
import json
from hashlib import sha256

import httpx
import pytest

from roomcast.web.pages import DATA_POLICY, SECURITY_HEADERS
from tests.api_clients import PASSWORD, SIGNUP, AnonymousClient
from tests.conftest import MakeApp

ALLOWED_ORIGIN, OTHER_ORIGIN = "https://chat.example.org", "https://evil.example.org"
REQUEST = {"query": "{ __typename }"}
CHANGE = 'mutation { login(input: {usernameOrEmail: "a", password: "b"}) { errors { code } } }'


def codes(answer: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_get_a_405_with_the_allowed_methods(anonymous: AnonymousClient, method: str) -> None:
    answer = await anonymous.http.request(method, "/graphql")
    assert (answer.status_code, codes(answer)) == (405, ["BAD_USER_INPUT"])
    assert {"GET", "HEAD", "POST"} <= {name.strip() for name in answer.headers["allow"].split(",")}


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx", ""],
)
async def test_content_types_that_a_form_can_send_are_rejected(anonymous: AnonymousClient, kind: str) -> None:
    answer = await anonymous.http.post("/graphql", content=json.dumps(REQUEST), headers={"content-type": kind})
    assert (answer.status_code, codes(answer)) == (415, ["BAD_USER_INPUT"])


async def test_a_compressed_body_is_rejected(anonymous: AnonymousClient) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await anonymous.http.post("/graphql", content=gzip.compress(json.dumps(REQUEST).encode()), headers=headers)
    assert (answer.status_code, codes(answer), answer.headers["accept-encoding"]) == (
        415,
        ["BAD_USER_INPUT"],
        "identity",
    )


async def test_get_runs_queries_and_no_mutations(anonymous: AnonymousClient) -> None:
    assert (await anonymous.http.get("/graphql", params=REQUEST)).json() == {"data": {"__typename": "Query"}}
    for document, status in ((CHANGE, 405), ("subscription { roomMessages(roomId: 1) { cursor } }", 400)):
        answer = await anonymous.http.get("/graphql", params={"query": document})
        assert (answer.status_code, codes(answer)) == (status, ["BAD_USER_INPUT"])
    assert (await anonymous.http.get("/graphql", params={"query": CHANGE})).headers["allow"] == "POST"


async def test_head_is_get_without_the_response_body(anonymous: AnonymousClient) -> None:
    head, get = [await anonymous.http.request(method, "/graphql", params=REQUEST) for method in ("HEAD", "GET")]
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", get.headers["content-length"])


async def test_a_document_with_several_operations_needs_an_operation_name(anonymous: AnonymousClient) -> None:
    document = "query A { __typename } query B { b: __typename }"
    for name, found in ((None, None), ("C", None), ("B", {"b": "Query"})):
        answer = (await anonymous.post({"query": document, "operationName": name})).json()
        assert answer.get("data") == found
        assert found or answer["errors"][0]["extensions"]["code"] == "OPERATION_NOT_FOUND"


@pytest.mark.parametrize("path", ["/nowhere", "/static/nowhere.js", "/graphql/x", "/schema.graphql?x", "/health/live"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_every_error_is_json_and_every_response_has_security_headers(
    anonymous: AnonymousClient, method: str, path: str
) -> None:
    answer = await anonymous.http.request(method, path)
    assert SECURITY_HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
    if answer.status_code >= 400:
        assert codes(answer) == ["NOT_FOUND" if answer.status_code == 404 else "BAD_USER_INPUT"]
        assert answer.headers["content-security-policy"] == DATA_POLICY


async def test_responses_are_not_cached_and_have_a_request_id(anonymous: AnonymousClient) -> None:
    first, second = await anonymous.post(REQUEST), await anonymous.post(REQUEST)
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


# ------------------------------------------------------------------ persisted queries


def hashed(document: str) -> dict[str, object]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(document.encode()).hexdigest()}}


async def test_a_valid_document_is_persisted_and_found_by_its_hash(anonymous: AnonymousClient) -> None:
    document = "{ serverInfo { version } }"
    only_hash = {"extensions": hashed(document)}
    unknown = (await anonymous.post(only_hash)).json()["errors"][0]
    assert (unknown["message"], unknown["extensions"]["code"]) == (
        "PersistedQueryNotFound",
        "PERSISTED_QUERY_NOT_FOUND",
    )
    taught = (await anonymous.post({"query": document, **only_hash})).json()
    assert (await anonymous.post(only_hash)).json() == taught
    query = {"extensions": json.dumps(only_hash["extensions"])}
    assert (await anonymous.http.get("/graphql", params=query)).json() == taught
    async with anonymous.connect() as connection:
        await connection.send(type="subscribe", id="1", payload=only_hash)
        assert (await connection.next_message("1"))["payload"] == taught


async def test_invalid_documents_are_not_persisted(anonymous: AnonymousClient) -> None:
    for document, named, code in (
        ("{ nothing }", "{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ __typename }", "{ me { id } }", "BAD_USER_INPUT"),
    ):
        assert codes(await anonymous.post({"query": document, "extensions": hashed(named)})) == [code]
        assert codes(await anonymous.post({"extensions": hashed(document)})) == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_a_server_with_trusted_documents_runs_no_others(
    make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document, other = SIGNUP, "{ __typename }"
    path = tmp_path_factory.mktemp("manifest") / "documents.json"
    apollo = {"format": "apollo-persisted-query-manifest", "operations": [{"id": "sha256:abc", "body": document}]}
    for manifest in ({"abc": document}, apollo):
        path.write_text(json.dumps(manifest))
        app = await make_app(trusted_documents=path)
        variables = {"input": {"username": f"ann_{len(manifest)}", "password": PASSWORD}}
        async with AnonymousClient(app) as anonymous:
            assert codes(await anonymous.post({"query": other})) == ["FORBIDDEN"]
            assert codes(await anonymous.post({"query": other, "extensions": hashed(other)})) == [
                "PERSISTED_QUERY_NOT_FOUND"
            ]
            assert codes(await anonymous.post({"documentId": "abd"})) == ["PERSISTED_QUERY_NOT_FOUND"]
            for named in ({"documentId": "sha256:abc"}, {"query": document}, {"documentId": "abc"}):
                answer = (await anonymous.post({**named, "variables": variables})).json()
                assert "signup" in answer["data"]
