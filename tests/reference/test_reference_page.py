"""The reference page without a browser: how it is served, and that it has all of the schema and all codes."""

import gzip
import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from graphql import GraphQLNamedType, build_schema, is_introspection_type
from starlette.applications import Starlette

from roomcast.api.errors import ErrorCode
from roomcast.api.schema import root
from roomcast.web.pages import PAGE_POLICY, SECURITY_HEADERS, SecurityHeaders
from roomcast.web.reference import routes as reference
from roomcast.web.reference.page import render

DOCS = Path(__file__).parents[2] / "docs"
SMALL = '''
"""Everything that has a thing. See `Thing.size` and `FORBIDDEN`, not `nothing`."""
interface Owner { thing: Thing }
type Thing implements Owner {
  thing: Thing
  "How <big> it is."
  size(unit: Unit = METRE, times: [Int!]! = [1, 2] @deprecated(reason: "Use `unit`.")): Long @deprecated
}
type Other { name: String! }
union Either = Thing | Other
enum Unit { "SI." METRE FOOT @deprecated(reason: "Old.") }
input Pick @oneOf { name: String number: Int }
scalar Long @specifiedBy(url: "https://example.org/long")
type Query { either(pick: Pick!): Either! room: Other }
'''


class Parsed(HTMLParser):
    """The ids, kinds, links and texts of a page. `text_of` has the text from the start of an element with an id on."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.kinds: dict[str, str] = {}
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text_of: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if id_ := found.get("id"):
            self.ids.append(id_)
            self.text_of[id_] = ""
            if kind := found.get("data-kind"):
                self.kinds[id_] = kind
        if tag == "a":
            self.links.append(found["href"] or "")

    def handle_data(self, data: str) -> None:
        if self.ids:
            self.text_of[self.ids[-1]] += data


@pytest.fixture(scope="module")
def page() -> Parsed:
    return Parsed(render(root.printed_schema()))


@pytest.fixture(scope="module")
def small() -> Parsed:
    return Parsed(render(SMALL))


@pytest_asyncio.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    app = SecurityHeaders(Starlette(routes=reference.routes(root.printed_schema)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://roomcast") as client:
        yield client


# ------------------------------------------------------------------ how it is served


@pytest.mark.parametrize("accepted", ["gzip, deflate, br", "GZIP;q=0.5", "br, gzip ; q=1.0"])
async def test_the_page_is_compressed_for_who_accepts_it(web: httpx.AsyncClient, accepted: str) -> None:
    async with web.stream("GET", "/docs", headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(raw))
    assert len(raw) < 100_000
    assert gzip.decompress(raw).decode() == render(root.printed_schema())


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip;q=0.0", ""])
async def test_the_page_is_not_compressed_for_others(web: httpx.AsyncClient, accepted: str) -> None:
    answer = await web.get("/docs", headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.text == render(root.printed_schema())


async def test_the_page_has_the_headers_of_a_page(web: httpx.AsyncClient) -> None:
    answer = await web.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert answer.headers["vary"] == "Accept-Encoding"
    assert SECURITY_HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()


@pytest.mark.parametrize("accepted", ["gzip", "identity"])
async def test_a_second_visit_gets_no_body(web: httpx.AsyncClient, accepted: str) -> None:
    first = await web.get("/docs", headers={"Accept-Encoding": accepted})
    known = {"Accept-Encoding": accepted, "If-None-Match": f'"other", {first.headers["etag"]}'}
    again = await web.get("/docs", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert "content-security-policy" not in again.headers
    assert (await web.get("/docs", headers={**known, "If-None-Match": '"other"'})).status_code == 200


async def test_both_encodings_have_one_weak_etag(web: httpx.AsyncClient) -> None:
    etags = {(await web.get("/docs", headers={"Accept-Encoding": one})).headers["etag"] for one in ("gzip", "identity")}
    assert [etag.startswith('W/"') for etag in etags] == [True]


async def test_nothing_is_written_to_the_page(web: httpx.AsyncClient) -> None:
    assert (await web.post("/docs")).status_code == 405


# ------------------------------------------------------------------ what it has


def parts_of(type_: GraphQLNamedType) -> Iterator[tuple[str, Any]]:
    """A type and its parts, with the ids that they have to have."""
    if type_.name not in {"Query", "Mutation", "Subscription"}:
        yield type_.name, type_
    for name, field in getattr(type_, "fields", {}).items():
        yield f"{type_.name}.{name}", field
        for argument, given in getattr(field, "args", {}).items():
            yield f"{type_.name}.{name}.{argument}", given
    yield from ((f"{type_.name}.{name}", value) for name, value in getattr(type_, "values", {}).items())


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    types = build_schema(root.printed_schema()).type_map.values()
    return dict(part for type_ in types if not is_introspection_type(type_) for part in parts_of(type_))


def test_the_page_has_every_name_of_the_schema_and_no_other(page: Parsed, parts: dict[str, Any]) -> None:
    assert len(parts) > 500
    codes = {"payload code", "top-level code", "http status", "close code"}
    assert sorted(id_ for id_, kind in page.kinds.items() if kind not in codes) == sorted(parts)


def test_the_page_has_every_description(page: Parsed, parts: dict[str, Any]) -> None:
    described = {id_: part.description for id_, part in parts.items() if part.description}
    assert len(described) > 100
    assert [id_ for id_, text in described.items() if squeezed(text) not in squeezed(page.text_of[id_])] == []


def squeezed(text: str) -> str:
    """Only its letters and digits: Markdown has other signs, and HTML other spaces."""
    return re.sub(r"[\W_]", "", text)


def test_every_id_is_unique_and_every_link_leads_somewhere(page: Parsed) -> None:
    assert len(page.ids) == len(set(page.ids))
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside - {"content"} <= set(page.ids)
    outside = {link.partition("?")[0] for link in page.links if not link.startswith(("#", "https://"))}
    assert outside == {"/", "/graphql", "/schema.graphql"}


def test_the_page_has_all_codes(page: Parsed) -> None:
    def listed(kind: str) -> set[str]:
        return {id_.rpartition(".")[2] for id_, found in page.kinds.items() if found == kind}

    assert listed("payload code") == set(ErrorCode.__members__)
    assert {"UNAUTHENTICATED", "RESUME_EXPIRED", "INTERNAL"} <= listed("top-level code")
    assert {"400", "429", "500"} <= listed("http status")
    written = (DOCS / "delivery.md").read_text().partition("### Close codes")[2].partition("\n## ")[0]
    assert listed("close code") == set(re.findall(r"^\| (\d{4}) \|", written, re.MULTILINE)) != set()


def test_the_cells_of_a_row_of_codes_have_the_titles_of_their_columns(page: Parsed) -> None:
    place = next(place for place, (_, found) in enumerate(page.tags) if found.get("id") == "close-codes.4401")
    cells = [found["data-title"] for tag, found in page.tags[place + 1 :] if tag == "td"][:3]
    assert cells == ["code", "meaning", "a client should"]


def test_every_operation_has_its_example_with_a_link_to_graphiql(page: Parsed) -> None:
    operations = [id_ for id_, kind in page.kinds.items() if kind in {"query", "mutation", "subscription"}]
    assert len([link for link in page.links if link.startswith("/graphql?query=")]) == len(operations)


def test_a_page_has_nothing_inline_and_nothing_from_elsewhere(page: Parsed) -> None:
    for tag, attributes in page.tags:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag in {"script", "link", "img"}:
            assert (attributes.get("src") or attributes.get("href") or "").startswith("/static/")


def test_interfaces_unions_inputs_and_scalars_tell_what_they_are(small: Parsed) -> None:
    assert "Implemented by: Thing." in small.text_of["Owner"]
    assert "Implements Owner." in small.text_of["Thing"]
    assert "Members: Thing, Other." in small.text_of["Either"]
    assert "Used by Query.either." in small.text_of["Either"]
    assert "Used by Query.room, Either." in small.text_of["Other"]
    assert "Exactly one" in small.text_of["Pick"]
    assert "https://example.org/long" in small.links


def test_fields_tell_their_types_defaults_and_deprecations(small: Parsed) -> None:
    assert "size: Long" in small.text_of["Thing.size"]
    assert "How <big> it is." in small.text_of["Thing.size"]
    assert "Deprecated. No longer supported" in small.text_of["Thing.size"]
    assert "unit: Unit = METRE" in small.text_of["Thing.size.unit"]
    assert "times: [Int!]! = [1, 2]" in small.text_of["Thing.size.times"]
    assert "Deprecated. Use unit." in small.text_of["Thing.size.times"]
    assert "SI." in small.text_of["Unit.METRE"]
    assert "Deprecated. Old." in small.text_of["Unit.FOOT"]


def test_code_in_a_description_is_a_link_where_it_names_something() -> None:
    html = render(SMALL)
    assert 'See <a href="#Thing.size"><code>Thing.size</code></a>' in html
    assert '<a href="#payload-codes.FORBIDDEN"><code>FORBIDDEN</code></a>' in html
    assert "not <code>nothing</code>" in html
