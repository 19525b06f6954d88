"""What an operation may make the server do: its fields, with page sizes multiplied in. Says so before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from roomcast.core.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

LIST_ITEMS = 5
"""How many items a list is taken to have whose size nobody can name, like the reactions of a message."""

SIZES = ("first", "last")


class PageSize(NamedTuple):
    """The items of a page: a number, or the variable that will say it (`number` where it does not)."""

    number: int
    variable: str | None = None

    def of(self, variables: Mapping[str, Any]) -> int:
        named = variables.get(self.variable, self.number) if self.variable else self.number
        number = named if isinstance(named, int) else DEFAULT_PAGE_SIZE
        return min(max(number, 1), MAX_PAGE_SIZE)  # what is outside is refused later


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed`, and for each page whose size a variable says, that many times what an item costs."""

    fixed: int = 0
    pages: tuple[tuple[PageSize, "Cost"], ...] = ()

    def of(self, variables: Mapping[str, Any]) -> int:
        return self.fixed + sum(size.of(variables) * item.of(variables) for size, item in self.pages)

    def plus(self, other: "Cost") -> "Cost":
        return Cost(self.fixed + other.fixed, self.pages + other.pages)

    def times(self, size: PageSize) -> "Cost":
        if size.variable is not None:
            return Cost(0, ((size, self),))
        number = size.of({})
        return Cost(self.fixed * number, tuple((page, item.times(size)) for page, item in self.pages))


class Pricing:
    """Prices the operations of one valid document whose expanded size has been checked."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def of(self, operation: OperationDefinitionNode) -> Cost:
        root = self._schema.get_root_type(operation.operation)
        defaults = {
            definition.variable.name.value: _number(definition.default_value)
            for definition in operation.variable_definitions or ()
            if isinstance(definition.default_value, IntValueNode)
        }
        return self._of(operation.selection_set, root, None, defaults)

    def _of(
        self,
        selections: SelectionSetNode | None,
        parent: GraphQLNamedType | None,
        page: PageSize | None,
        defaults: Mapping[str, int],
    ) -> Cost:
        total = Cost()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                total = total.plus(self._of_field(node, parent, page, defaults))
            elif isinstance(node, FragmentSpreadNode | InlineFragmentNode):
                within = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
                condition = within.type_condition
                narrowed = self._schema.get_type(condition.name.value) if condition else parent
                total = total.plus(self._of(within.selection_set, narrowed, page, defaults))
        return total

    def _of_field(
        self, node: FieldNode, parent: GraphQLNamedType | None, page: PageSize | None, defaults: Mapping[str, int]
    ) -> Cost:
        """1, and what is selected of it: for each item of a list. `page`: the size of the connection it belongs to."""
        field = getattr(parent, "fields", {}).get(node.name.value)
        if field is None:  # what the schema says of itself lies ready
            return Cost(1)
        inside = _page_size(node, field, defaults)
        selected = self._of(node.selection_set, get_named_type(field.type), inside, defaults)
        if is_list_type(get_nullable_type(field.type)):
            selected = selected.times(page or PageSize(_items(field)))
        return Cost(1).plus(selected)


def _items(field: GraphQLField) -> int:
    """Of a list that is no page: so many as it says of itself."""
    definition = (field.extensions or {}).get("strawberry-definition")
    items: int = definition.metadata.get("items", LIST_ITEMS) if definition else LIST_ITEMS
    return items


def _page_size(node: FieldNode, field: GraphQLField, defaults: Mapping[str, int]) -> PageSize | None:
    """None for a field that is no connection."""
    if not any(name in field.args for name in SIZES):
        return None
    for argument in node.arguments or ():
        if argument.name.value in SIZES:
            if isinstance(argument.value, IntValueNode):
                return PageSize(_number(argument.value))
            if isinstance(argument.value, VariableNode):
                name = argument.value.name.value
                return PageSize(defaults.get(name, DEFAULT_PAGE_SIZE), name)
    return PageSize(DEFAULT_PAGE_SIZE)


def _number(node: IntValueNode) -> int:
    """A literal may have thousands of digits."""
    return int(node.value) if len(node.value) < 6 else MAX_PAGE_SIZE
