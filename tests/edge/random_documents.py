"""Random queries of the whole schema: root fields find something, fields have arguments, aliases and conditions."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    FieldDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    parse_value,
    print_ast,
    visit,
)
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

CONDITIONS = {"yes": True, "no": False}
"""Variables that `@skip` and `@include` use."""

PAGE_SIZES = ("1", "2", "3", "50", "0")
"""Values of `first`, the only random argument. 0 is refused. Random values of others would nearly always be refused."""


class PlainArguments(Visitor):
    def enter_field_definition(self, node: FieldDefinitionNode, *_: Any) -> FieldDefinitionNode:
        return replace(node, arguments=tuple(each for each in node.arguments or () if each.name.value == "first"))


def random_queries() -> st.SearchStrategy[str]:
    """Queries without the required arguments of root fields."""
    schema = visit(parse(Path("schema.graphql").read_text()), PlainArguments())
    scalars = {name: st.just(nodes.String("x")) for name in ("UUID", "Cursor", "DateTime", "URL", "Seq", "Long")}
    return queries(print_ast(schema), custom_scalars=scalars, allow_null=False).map(str)


def finished(text: str, arguments: Mapping[str, tuple[str, str]], random: Random) -> str:
    """The query with random changes, and with these arguments: name and value by root field."""
    document = visit(parse(text), RandomChanges(random))
    [operation] = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    selections = tuple(_with_argument(each, arguments) for each in operation.selection_set.selections)
    selected = print_ast(replace(operation.selection_set, selections=selections))
    root = f"{{ yes: __typename @include(if: $yes) no: __typename @skip(if: $no) ... {selected} }}"
    others = [print_ast(each) for each in document.definitions if isinstance(each, FragmentDefinitionNode)]
    return "\n".join([f"query Q($yes: Boolean!, $no: Boolean = false) {root}", *others])


def _with_argument(node: Any, arguments: Mapping[str, tuple[str, str]]) -> Any:
    given = arguments.get(node.name.value) if isinstance(node, FieldNode) else None
    if given is None:
        return node
    name, value = given
    argument = ArgumentNode(name=NameNode(value=name), value=parse_value(value))
    return replace(node, arguments=(*(node.arguments or ()), argument))


class RandomChanges(Visitor):
    """Changes every eighth field: it is aliased, repeated, conditional, or in a fragment."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random, self._count = random, 0

    def leave_int_value(self, node: IntValueNode, *_: Any) -> IntValueNode:
        return replace(node, value=self._random.choice(PAGE_SIZES))

    def leave_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode:
        selections: list[Any] = []
        for each in node.selections:
            selections += self._changed(each) if isinstance(each, FieldNode) else [each]
        if self._random.random() < 0.1:
            selections.append(FieldNode(name=NameNode(value="__typename"), alias=None, arguments=(), directives=()))
        return replace(node, selections=tuple(selections))

    def _changed(self, node: FieldNode) -> list[Any]:
        self._count += 1
        alias = NameNode(value=f"a{self._count}")
        match self._random.randrange(32):
            case 0:
                return [replace(node, alias=alias)]
            case 1:
                return [node, replace(node, alias=alias)]
            case 2:
                return [replace(node, directives=(self._condition(),))]
            case 3:
                inside = SelectionSetNode(selections=(node,))
                return [InlineFragmentNode(type_condition=None, directives=(self._condition(),), selection_set=inside)]
        return [node]

    def _condition(self) -> DirectiveNode:
        value = self._random.choice(
            [VariableNode(name=NameNode(value=name)) for name in CONDITIONS] + [BooleanValueNode(value=True)]
        )
        name = NameNode(value=self._random.choice(["skip", "include"]))
        return DirectiveNode(name=name, arguments=(ArgumentNode(name=NameNode(value="if"), value=value),))
