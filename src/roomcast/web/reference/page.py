"""The API reference as one HTML page, from the schema in its definition language."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_introspection_type,
)

from roomcast.web.reference.examples import Example, examples_of
from roomcast.web.reference.members import Members, link, links, type_html
from roomcast.web.reference.texts import Texts, anchor, codes, document, section

ROOTS: Final = {"Query": "Queries", "Mutation": "Mutations", "Subscription": "Subscriptions"}
PAYLOAD: Final = "MutationPayload"

# Title, kind as the search shows it, class.
KINDS: Final = (
    ("Objects", "object", GraphQLObjectType),
    ("Payloads", "payload", GraphQLObjectType),
    ("Interfaces", "interface", GraphQLInterfaceType),
    ("Unions", "union", GraphQLUnionType),
    ("Inputs", "input", GraphQLInputObjectType),
    ("Enums", "enum", GraphQLEnumType),
    ("Scalars", "scalar", GraphQLScalarType),
)

TOP: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API reference · roomcast</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/reference/reference.css">
<script type="module" src="/static/reference/search.js"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<a class="home" href="/">roomcast</a>
<search hidden>
<input id="search" type="search" role="combobox" aria-label="Search the reference" aria-autocomplete="list"
 aria-expanded="false" aria-controls="found" placeholder="Search ( / )" autocomplete="off" spellcheck="false">
<ul id="found" role="listbox" aria-label="Found" hidden></ul>
<p id="count" role="status"></p>
</search>
<nav aria-label="This server"><a href="/graphql">GraphiQL</a> <a href="/schema.graphql">Schema</a></nav>
</header>
"""

INTRODUCTION: Final = """<h1>API reference</h1>
<p>Everything that this server answers, from its own schema. Queries and mutations: <code>POST /graphql</code>.
Subscriptions: WebSocket <code>/graphql</code>, subprotocol <code>graphql-transport-ws</code>. The access token of
<a href="#Mutation.login"><code>login</code></a> goes into <code>Authorization: Bearer …</code>, as a header or in
<code>connection_init</code>. The examples contain invented ids: replace them by yours.</p>
"""


def render(sdl: str) -> str:
    """The page for a schema in GraphQL's schema definition language."""
    return _Page(build_schema(sdl)).html()


class _Page:
    def __init__(self, schema: GraphQLSchema) -> None:
        self.types = {
            name: type_ for name, type_ in sorted(schema.type_map.items()) if not is_introspection_type(type_)
        }
        self.roots = {
            name: type_ for name in ROOTS if isinstance(type_ := self.types.pop(name, None), GraphQLObjectType)
        }
        self.implementations = {
            type_.name: [member.name for member in schema.get_possible_types(type_)]
            for type_ in self.types.values()
            if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType)
        }
        self.uses = _uses({**self.roots, **self.types})
        self.errors = document("errors.md").split("\n\n", 2)[2]  # without its title and the words on the file
        self.texts = Texts(self.ids())
        self.members = Members(self.texts)

    def ids(self) -> dict[str, str]:
        """What descriptions may refer to: error codes, operations, `Type.field` and types."""
        ids = codes(self.errors)
        for root, type_ in self.roots.items():
            ids |= {field: f"{root}.{field}" for field in type_.fields}
        for owner in (*self.roots.values(), *self.types.values()):
            names = (f"{owner.name}.{field}" for field in getattr(owner, "fields", ()))
            ids |= {name: name for name in names}
        return ids | {name: name for name in self.types}

    def html(self) -> str:
        sections = [*self.operations(), *self.kinds(), self.codes()]
        contents = "".join(_contents(title, ids) for title, ids, _ in sections)
        content = "".join(
            f'<section><h2 id="{anchor(title)}">{title}</h2>{html}</section>' for title, _, html in sections
        )
        return (
            f'{TOP}<div class="columns"><nav class="contents" aria-label="Contents">{contents}</nav>'
            f'<main id="content" tabindex="-1">{INTRODUCTION}{content}</main></div></body></html>\n'
        )

    # Each of these yields sections: a title, the ids of its entries, and its HTML.

    def operations(self) -> Iterator[tuple[str, list[str], str]]:
        for root, type_ in self.roots.items():
            examples = examples_of(root)
            html = "".join(
                self.operation(f"{root}.{name}", name, root.lower(), field, examples.get(name))
                for name, field in type_.fields.items()
            )
            yield ROOTS[root], [f"{root}.{name}" for name in type_.fields], html

    def kinds(self) -> Iterator[tuple[str, list[str], str]]:
        for title, kind, class_ in KINDS:
            found = [type_ for type_ in self.types.values() if isinstance(type_, class_) and _kind(type_) == kind]
            yield title, [type_.name for type_ in found], "".join(self.named_type(type_, kind) for type_ in found)

    def codes(self) -> tuple[str, list[str], str]:
        closing = "## Close codes\n" + section(document("delivery.md"), "### Close codes")
        headings = ["Payload codes", "Top-level codes", "HTTP status", "Close codes"]
        return "Codes", [anchor(heading) for heading in headings], self.texts.coded(f"{self.errors}\n{closing}")

    def operation(self, id_: str, name: str, kind: str, field: GraphQLField, example: Example | None) -> str:
        return (
            f'<article><h3 id="{id_}" data-kind="{kind}"><a href="#{id_}">{name}</a></h3>'
            f'<p class="signature"><code>{name}: {type_html(field.type)}</code></p>'
            f"{self.members.described(field, self.members.arguments(id_, field))}{_example(example)}</article>"
        )

    def named_type(self, type_: GraphQLNamedType, kind: str) -> str:
        name = type_.name
        facts = "".join(f"<p>{fact}</p>" for fact in self.facts(type_))
        return (
            f'<article><h3 id="{name}" data-kind="{kind}">{link(name)}</h3>{self.texts.html(type_.description)}'
            f'<div class="facts">{facts}</div>{self.parts(type_)}</article>'
        )

    def facts(self, type_: GraphQLNamedType) -> Iterator[str]:
        if interfaces := getattr(type_, "interfaces", ()):
            yield f"Implements {links(interface.name for interface in interfaces)}."
        if members := self.implementations.get(type_.name):
            yield f"{'Members' if isinstance(type_, GraphQLUnionType) else 'Implemented by'}: {links(members)}."
        if isinstance(type_, GraphQLInputObjectType) and type_.is_one_of:
            yield "Exactly one of the fields has to be given (<code>@oneOf</code>)."
        if isinstance(type_, GraphQLScalarType) and (url := type_.specified_by_url):
            yield f'Specified by <a href="{escape(url)}" rel="noreferrer">{escape(url)}</a>.'
        # "Int is used by" would be half of the schema.
        if not isinstance(type_, GraphQLScalarType) and (uses := self.uses[type_.name]):
            yield f"Used by {links(uses)}."

    def parts(self, type_: GraphQLNamedType) -> str:
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            return self.members.fields(type_.name, type_.fields)
        if isinstance(type_, GraphQLInputObjectType):
            return self.members.input_fields(type_.name, type_.fields)
        return self.members.values(type_) if isinstance(type_, GraphQLEnumType) else ""


def _kind(type_: GraphQLNamedType) -> str:
    if isinstance(type_, GraphQLObjectType) and PAYLOAD in {interface.name for interface in type_.interfaces}:
        return "payload"
    return next(kind for _, kind, class_ in KINDS if isinstance(type_, class_))


def _uses(types: Mapping[str, GraphQLNamedType]) -> dict[str, list[str]]:
    """For each type the unions that it is in, and the `Type.field`s that return it or take it as an argument."""
    uses: dict[str, list[str]] = defaultdict(list)
    for owner in types.values():
        for member in getattr(owner, "types", ()):
            uses[member.name].append(owner.name)
        for name, field in getattr(owner, "fields", {}).items():
            for used in {get_named_type(part.type).name for part in (field, *getattr(field, "args", {}).values())}:
                uses[used].append(f"{owner.name}.{name}")
    return uses


def _example(example: Example | None) -> str:
    if example is None:
        return ""
    variables = f"<h4>Variables</h4><pre><code>{escape(example.variables)}</code></pre>" if example.variables else ""
    return (
        f'<div class="example"><h4>Example</h4><pre><code>{escape(example.document)}</code></pre>{variables}'
        f'<p><a href="{escape(example.graphiql_link)}">Open in GraphiQL</a></p></div>'
    )


def _contents(title: str, ids: Iterable[str]) -> str:
    entries = "".join(f'<li><a href="#{id_}">{_label(id_)}</a></li>' for id_ in ids)
    return f"<details><summary>{title}</summary><ul>{entries}</ul></details>"


def _label(id_: str) -> str:
    return id_.rpartition(".")[2].replace("-", " ").capitalize() if "-" in id_ else id_.rpartition(".")[2]
