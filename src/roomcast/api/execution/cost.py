"""What an operation may make the server do, priced before anything runs: fields, rows, statements and text, with page
sizes and list lengths multiplied in. One unit is about what a plain field takes: five microseconds, a hundred bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from roomcast.core.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

LIST_ITEMS = 5
"""How many items a list is taken to have whose size nobody can name, like the reactions of a message."""

SIZES = ("first", "last")

LIST_LENGTH_ARGUMENTS: Final[Mapping[str, str]] = {"Query.nodes": "ids"}
"""Lists with one item for each item of that argument."""

LOOKUP, STATEMENT, COUNT, SCAN, SEARCH = 5, 25, 50, 100, 500
"""A row from a batch; a statement of its own; one that counts rows, one that reads through a table; a text search."""

INTROSPECTION = 1_000

ROW_COSTS: Final[Mapping[str, int]] = {"Message": 10, "MessageRevision": 10, "AuditEntry": 5, "Room": 2}
"""Loading one row of a type, which may carry a long text whether or not that is selected."""

FIELD_COSTS: Final[Mapping[str, int]] = {
    # Text by its size: up to 4,000 characters, and up to ten times as many once rendered.
    "Message.body": 10,
    "Message.bodyHtml": 20,
    "MessageRevision.body": 10,
    "MessageSearchEdge.snippetHtml": 20,
    "Room.description": 5,
    "User.bio": 2,
    # What runs statements.
    "Message.readBy": STATEMENT,
    "Message.revisions": STATEMENT,
    "Message.mentions": LOOKUP,
    "Message.reactions": LOOKUP,
    "Message.thread": LOOKUP,
    "Message.threadRoot": LOOKUP,
    "Message.replyTo": LOOKUP,
    "Message.viewerCanEdit": LOOKUP,
    "Message.viewerCanDelete": LOOKUP,
    "Message.attachments": LOOKUP,
    "ReactionGroup.users": STATEMENT * 4,  # a message may have ten times the groups that a list is taken to have
    "Room.activeUsers": LOOKUP,
    "Room.directPeers": LOOKUP,
    "Room.lastMessage": LOOKUP,
    "Room.members": STATEMENT,
    "Room.messages": STATEMENT,
    "Room.pinnedMessages": STATEMENT,
    "RoomConnection.totalCount": COUNT,
    "RoomMemberConnection.totalCount": COUNT,
    "RoomMembership.mentionCount": LOOKUP,
    "RoomMembership.unreadCount": LOOKUP,
    "ThreadSummary.lastReply": LOOKUP,
    "UserConnection.totalCount": COUNT,
    "Viewer.sessions": STATEMENT,
    "Viewer.totalMentions": COUNT,
    "Viewer.totalUnread": COUNT,
    "Query.auditLog": SCAN,
    "Query.invite": STATEMENT,
    "Query.message": STATEMENT,
    "Query.messages": STATEMENT,
    "Query.node": STATEMENT,
    "Query.nodes": STATEMENT,
    "Query.room": STATEMENT,
    "Query.rooms": STATEMENT,
    "Query.searchMessages": SEARCH,
    "Query.user": LOOKUP,
    "Query.users": STATEMENT,
    "Query.__schema": INTROSPECTION,
    "Query.__type": INTROSPECTION // 10,
}
"""What a field takes beyond its own unit. In a list that `LENGTHS` names: for each item."""


class PageSize(NamedTuple):
    """The items of a page or list: a number, or the variable that will say it (`number` where it does not)."""

    number: int
    variable: str | None = None

    def resolve(self, variables: Mapping[str, Any]) -> int:
        return _clamped(variables.get(self.variable, self.number) if self.variable else self.number)


def _clamped(size: object) -> int:
    """The size that a value means, as input coercion takes it: 10.0 is 10, and a list that is one item has one.

    What is outside of the limits is refused later."""
    if isinstance(size, list):
        size = len(size)
    elif isinstance(size, str):  # one id where a list is wanted
        size = 1
    elif isinstance(size, bool) or not isinstance(size, int | float) or size != size:
        size = DEFAULT_PAGE_SIZE
    return int(min(max(size, 1), MAX_PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed`, and for each page whose size a variable says, that many times what an item costs."""

    fixed: int = 0
    pages: tuple[tuple[PageSize, "Cost"], ...] = ()

    def total(self, variables: Mapping[str, Any]) -> int:
        return self.fixed + sum(size.resolve(variables) * item.total(variables) for size, item in self.pages)

    def plus(self, other: "Cost") -> "Cost":
        return Cost(self.fixed + other.fixed, self.pages + other.pages)

    def times(self, size: PageSize) -> "Cost":
        if size.variable is not None:
            return Cost(0, ((size, self),))
        number = size.resolve({})
        return Cost(self.fixed * number, tuple((page, item.times(size)) for page, item in self.pages))


class CostEstimator:
    """Prices the operations of one valid document whose expanded size has been checked."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def estimate(self, operation: OperationDefinitionNode) -> Cost:
        root = self._schema.get_root_type(operation.operation)
        defaults = {
            definition.variable.name.value: _literal(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
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
        coordinate = f"{parent.name if parent else ''}.{node.name.value}"
        price = Cost(FIELD_COSTS.get(coordinate, 0))
        field = getattr(parent, "fields", {}).get(node.name.value)
        if field is None:  # what the schema says of itself lies ready
            return Cost(1).plus(price)
        inside = _size(node, SIZES, defaults) if any(name in field.args for name in SIZES) else None
        kind = get_named_type(field.type)
        selected = Cost(ROW_COSTS.get(kind.name, 0)).plus(self._of(node.selection_set, kind, inside, defaults))
        if coordinate in LIST_LENGTH_ARGUMENTS:
            return Cost(1).plus(selected.plus(price).times(_size(node, (LIST_LENGTH_ARGUMENTS[coordinate],), defaults)))
        if is_list_type(get_nullable_type(field.type)):
            selected = selected.times(page or PageSize(_items(field)))
        return Cost(1).plus(price).plus(selected)


def _items(field: GraphQLField) -> int:
    """Of a list that is no page: so many as it says of itself."""
    definition = (field.extensions or {}).get("strawberry-definition")
    items: int = definition.metadata.get("items", LIST_ITEMS) if definition else LIST_ITEMS
    return items


def _size(node: FieldNode, names: tuple[str, ...], defaults: Mapping[str, int]) -> PageSize:
    """The size that an argument of these names says."""
    found = [_argument(each.value, defaults) for each in node.arguments or () if each.name.value in names]
    varying = [size for size in found if size.variable is not None]
    return [*varying, *found, PageSize(DEFAULT_PAGE_SIZE)][0]


def _argument(value: ValueNode, defaults: Mapping[str, int]) -> PageSize:
    if isinstance(value, VariableNode):
        name = value.name.value
        return PageSize(defaults.get(name, DEFAULT_PAGE_SIZE), name)
    return PageSize(_literal(value))


def _literal(node: ValueNode) -> int:
    """The size that a literal means. It may have thousands of digits."""
    if isinstance(node, ListValueNode):
        return len(node.values)
    text = getattr(node, "value", None)
    if not isinstance(text, str):
        return DEFAULT_PAGE_SIZE
    try:
        return _clamped(float(text)) if len(text) < 20 else MAX_PAGE_SIZE
    except ValueError:  # an id, where a list is wanted
        return 1
