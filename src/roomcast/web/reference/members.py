"""HTML of what the types of the schema consist of: fields, arguments, input fields and enum values."""

from collections.abc import Iterable, Mapping
from html import escape

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLType,
    print_ast,
)

from roomcast.web.reference.texts import Texts

Member = GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue


def type_html(type_: GraphQLType) -> str:
    """A type as it is written in GraphQL, with a link to its name."""
    if isinstance(type_, GraphQLNonNull):
        return f"{type_html(type_.of_type)}!"
    if isinstance(type_, GraphQLList):
        return f"[{type_html(type_.of_type)}]"
    return link(str(type_))


def link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def links(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{link(name)}</code>" for name in names)


class Members:
    """Renders the parts of types. `texts` renders their descriptions."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def fields(self, owner: str, fields: Mapping[str, GraphQLField]) -> str:
        return _listed(
            self._entry(f"{owner}.{name}", name, "field", field, self.arguments(f"{owner}.{name}", field))
            for name, field in fields.items()
        )

    def arguments(self, owner: str, field: GraphQLField) -> str:
        entries = (self._entry(f"{owner}.{name}", name, "argument", given) for name, given in field.args.items())
        return _listed(entries)

    def input_fields(self, owner: str, fields: Mapping[str, GraphQLInputField]) -> str:
        return _listed(self._entry(f"{owner}.{name}", name, "input field", field) for name, field in fields.items())

    def values(self, enum: GraphQLEnumType) -> str:
        entries = (self._entry(f"{enum.name}.{name}", name, "enum value", value) for name, value in enum.values.items())
        return _listed(entries)

    def described(self, thing: Member, *more: str) -> str:
        """The description and the deprecation of something, and more HTML after them."""
        deprecation = ""
        if thing.deprecation_reason is not None:
            reason = self._texts.html(thing.deprecation_reason)
            deprecation = f'<div class="deprecated"><strong>Deprecated.</strong> {reason}</div>'
        return "".join((self._texts.html(thing.description), deprecation, *more))

    def _entry(self, id_: str, name: str, kind: str, member: Member, more: str = "") -> str:
        return (
            f'<div id="{id_}" data-kind="{kind}"><dt><code><a class="name" href="#{id_}">{name}</a>'
            f"{_typed(member)}</code></dt><dd>{self.described(member, more)}</dd></div>"
        )


def _typed(member: Member) -> str:
    if isinstance(member, GraphQLEnumValue):
        return ""
    node = member.ast_node
    default = getattr(node, "default_value", None)
    return f": {type_html(member.type)}" + (f" = {escape(print_ast(default))}" if default is not None else "")


def _listed(entries: Iterable[str]) -> str:
    found = "".join(entries)
    return f'<dl class="members">{found}</dl>' if found else ""
