"""Estimates the cost of an operation before it is executed: fields, rows, statements and text, times page sizes.

One unit is about the cost of a plain field: five microseconds and a hundred bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
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
"""The assumed length of a list without a page size, e.g. the reactions of a message. A field's metadata may name other
`items`."""

PAGE_SIZE_ARGUMENTS = ("first", "last")

LIST_LENGTH_ARGUMENTS: Final[Mapping[str, str]] = {"Query.nodes": "ids"}
"""Lists that have one item for each item of this argument."""

LOOKUP, STATEMENT, COUNT, SCAN, SEARCH = 5, 25, 50, 100, 500
"""Costs of a row loaded in a batch, of one SQL statement, of counting rows, of scanning a table, of a text search."""

INTROSPECTION = 1_000
"""Of `__schema`: the whole schema is in the response."""

ROW_COSTS: Final[Mapping[str, int]] = {"Message": 10, "MessageRevision": 10, "AuditEntry": 5, "Room": 2}
"""Cost of loading one row of a type. A row may have a long text, which is loaded even if it is not selected."""

FIELD_COSTS: Final[Mapping[str, int]] = {
    # Text, by its size: up to 4,000 characters, and up to ten times as many in HTML.
    "Message.body": 10,
    "Message.bodyHtml": 20,
    "MessageRevision.body": 10,
    "MessageSearchEdge.snippetHtml": 20,
    "Room.description": 5,
    "User.bio": 2,
    # Fields that execute statements.
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
    "ReactionGroup.users": STATEMENT * 4,  # a message may have ten times as many groups as LIST_ITEMS
    "Room.activeUsers": LOOKUP,
    "Room.directPeers": LOOKUP,
    "Room.invites": STATEMENT,
    "Room.lastActivityAt": LOOKUP,
    "Room.lastMessage": LOOKUP,
    "Room.members": STATEMENT,
    "Room.messages": STATEMENT,
    "Room.pinnedMessages": STATEMENT,
    "RoomConnection.totalCount": COUNT,
    "RoomMemberConnection.totalCount": COUNT,
    "RoomMembership.mentionCount": LOOKUP,
    "RoomMembership.unreadCount": LOOKUP,
    "RoomUnread.room": LOOKUP,
    "MemberChanged.member": LOOKUP,
    "MessageDeleted.message": LOOKUP,
    "ReactionChanged.message": LOOKUP,
    "SystemEvent.users": LOOKUP,
    "Thread.lastReply": LOOKUP,
    "Thread.participants": LOOKUP,
    "Thread.root": LOOKUP,
    "Thread.viewerIsFollowing": LOOKUP,
    "Thread.viewerUnreadCount": LOOKUP,
    "ThreadUnreadChanged.thread": LOOKUP,
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
    "Query.roomByName": STATEMENT,
    "Query.rooms": STATEMENT,
    "Query.searchMessages": SEARCH,
    "Query.threads": SCAN,
    "Query.user": LOOKUP,
    "Query.users": STATEMENT,
    "Query.__schema": INTROSPECTION,
    "Query.__type": INTROSPECTION // 10,
}
"""Cost of a field in addition to its own unit. For a list in `LIST_LENGTH_ARGUMENTS`: the cost of each item."""


class PageSize(NamedTuple):
    """The number of items of a page or list, or the variable that has it (`number` if it is omitted)."""

    number: int
    variable: str | None = None

    def resolve(self, variables: Mapping[str, Any]) -> int:
        return _clamped(variables.get(self.variable, self.number) if self.variable else self.number)


def _clamped(size: object) -> int:
    """The size that a value of a variable stands for, from 1 to the largest page.

    It follows the coercion of inputs: 10.0 is 10, and a single item counts as a list of one. Resolvers refuse sizes
    that are not allowed.
    """
    if isinstance(size, list):
        size = len(size)
    elif isinstance(size, str):  # one id in place of a list
        size = 1
    elif isinstance(size, bool) or not isinstance(size, int | float) or size != size:
        size = DEFAULT_PAGE_SIZE
    return int(min(max(size, 1), MAX_PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Cost:
    """`fixed`, plus the cost of an item times the page size, for each page whose size is a variable."""

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
    """Estimates the operations of one document, which must be valid and checked by `limits.SizeChecker`."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def estimate(self, operation: OperationDefinitionNode) -> Cost:
        root = self._schema.get_root_type(operation.operation)
        defaults = {
            definition.variable.name.value: _literal_size(definition.default_value)
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        return self._selection_cost(operation.selection_set, root, None, defaults)

    def _selection_cost(
        self,
        selections: SelectionSetNode | None,
        parent: GraphQLNamedType | None,
        page: PageSize | None,
        defaults: Mapping[str, int],
    ) -> Cost:
        total = Cost()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                total = total.plus(self._field_cost(node, parent, page, defaults))
            elif isinstance(node, FragmentSpreadNode | InlineFragmentNode):
                fragment = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
                condition = fragment.type_condition
                narrowed = self._schema.get_type(condition.name.value) if condition else parent
                total = total.plus(self._selection_cost(fragment.selection_set, narrowed, page, defaults))
        return total

    def _field_cost(
        self, node: FieldNode, parent: GraphQLNamedType | None, page: PageSize | None, defaults: Mapping[str, int]
    ) -> Cost:
        """One unit, the field's own cost and that of its selections. `page`: the size of the enclosing connection."""
        coordinate = f"{parent.name if parent else ''}.{node.name.value}"
        price = Cost(FIELD_COSTS.get(coordinate, 0))
        field = getattr(parent, "fields", {}).get(node.name.value)
        if field is None:  # introspection fields: their values are in memory
            return Cost(1).plus(price)
        is_page = any(name in field.args for name in PAGE_SIZE_ARGUMENTS)
        inner_page = _page_size(node, PAGE_SIZE_ARGUMENTS, defaults) if is_page else None
        type_ = get_named_type(field.type)
        selected = Cost(ROW_COSTS.get(type_.name, 0))
        selected = selected.plus(self._selection_cost(node.selection_set, type_, inner_page, defaults))
        if coordinate in LIST_LENGTH_ARGUMENTS:
            length = _page_size(node, (LIST_LENGTH_ARGUMENTS[coordinate],), defaults)
            return Cost(1).plus(selected.plus(price).times(length))
        if is_list_type(get_nullable_type(field.type)):
            definition = (field.extensions or {}).get("strawberry-definition")
            items = definition.metadata.get("items", LIST_ITEMS) if definition else LIST_ITEMS
            selected = selected.times(page or PageSize(items))
        return Cost(1).plus(price).plus(selected)


def _page_size(node: FieldNode, names: tuple[str, ...], defaults: Mapping[str, int]) -> PageSize:
    """The page size in the arguments of these names. A variable comes before a literal."""
    values = [each.value for each in node.arguments or () if each.name.value in names]
    for value in values:
        if isinstance(value, VariableNode):
            name = value.name.value
            return PageSize(defaults.get(name, DEFAULT_PAGE_SIZE), name)
    return PageSize(_literal_size(values[0]) if values else DEFAULT_PAGE_SIZE)


def _literal_size(node: ValueNode) -> int:
    """The size that a literal stands for. The literal may have thousands of digits, or be an id."""
    if isinstance(node, ListValueNode):
        return len(node.values)
    text = getattr(node, "value", None)
    if not isinstance(text, str):
        return DEFAULT_PAGE_SIZE
    try:
        return _clamped(float(text)) if len(text) < 20 else MAX_PAGE_SIZE
    except ValueError:  # one id in place of a list
        return 1
