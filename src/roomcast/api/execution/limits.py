"""Limits of a document's size, checked before validation and execution in time linear to the size of its text.

The limiters of libraries take exponential time on nested fragments. Here each fragment is measured once, and its size
is added wherever it is spread.
"""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from roomcast.api.errors import coded_error

DEFAULT_RESPONSE_BYTES = 4 * 1024 * 1024
MAX_OPERATION_COST, MAX_EVENT_COST = 30_000, 5_000


@dataclass(frozen=True, slots=True)
class Limits:
    """`selections` to `nesting` apply to the expanded document: each fragment counts wherever it is spread."""

    source_characters: int = 20_000
    tokens: int = 2_000
    """Bounds the time of parsing, which comes before all other limits. The standard introspection query has 163."""
    selections: int = 500
    """The standard introspection query expands to 230."""
    aliases: int = 50
    """Aliases let a document select the same expensive field many times."""
    directives: int = 50
    depth: int = 16
    """Fields within fields. The standard introspection query has 15."""
    nesting: int = 64
    """Fields and fragments within each other. graphql-core recurses for each level."""
    root_fields: int = 20
    repeats: int = 30
    """Places in the text that select objects under one name. Validation compares them in pairs, in quadratic time."""
    cost: int = MAX_OPERATION_COST
    """In units of `cost.py`: about 150 ms and 3 MB. It also limits the fields that are really executed, because the
    estimate may be too low for lists of unknown length."""
    operation_seconds: float = 20.0
    """As long as one SQL statement may take."""
    event_cost: int = MAX_EVENT_COST
    """The limit of cost for a subscription: about 25 ms per event. It is lower than `cost` because each event executes
    the document again, and no rate limit counts that."""
    response_bytes: int = DEFAULT_RESPONSE_BYTES
    """Bytes of one response or one event."""
    room_documents_per_user: int | None = 16
    """Different documents of one topic that a viewer may have open; None for no limit. Each event is executed once for
    each of them: without a limit, one viewer could make every message of a room cost a thousand executions."""


class ExpandedSize(NamedTuple):
    """The size of an expanded selection set. Its fields have the names of the limits."""

    selections: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0
    nesting: int = 0

    def combine(self, other: "ExpandedSize") -> "ExpandedSize":
        return ExpandedSize(
            self.selections + other.selections,
            self.aliases + other.aliases,
            self.directives + other.directives,
            max(self.depth, other.depth),
            max(self.nesting, other.nesting),
        )


class SizeChecker:
    """Measures one document. Raises a GraphQLError with QUERY_TOO_COMPLEX at the first limit that it exceeds."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self._limits = limits
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._sizes: dict[str, ExpandedSize] = {}
        self._visiting: set[str] = set()
        self._object_selections: Counter[str] = Counter()
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self.size = self._checked(self._selection_set_size(definition.selection_set))
        for name in self._fragments:  # unused fragments too: validation visits them
            self._fragment_size(name)
        if max(self._object_selections.values(), default=0) > limits.repeats:
            raise too_complex(f"repeats above {limits.repeats}")

    def root_fields(self, operation: OperationDefinitionNode) -> list[str]:
        """The names of the operation's root fields, fragments expanded. A name occurs once for each selection.

        Raises QUERY_TOO_COMPLEX.
        """
        names, pending, seen = [], [operation.selection_set], 0
        while pending and seen <= self._limits.selections:
            for node in pending.pop().selections:
                seen += 1
                if isinstance(node, FieldNode):
                    names.append(node.name.value)
                elif isinstance(node, InlineFragmentNode):
                    pending.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and (fragment := self._fragments.get(node.name.value)):
                    pending.append(fragment.selection_set)
        if len(names) > self._limits.root_fields:
            raise too_complex(f"root_fields above {self._limits.root_fields}")
        return names

    def _selection_set_size(self, selections: SelectionSetNode | None) -> ExpandedSize:
        total = ExpandedSize()
        for node in selections.selections if selections else ():
            if isinstance(node, FragmentSpreadNode):
                inner = self._fragment_size(node.name.value)
            elif isinstance(node, FieldNode | InlineFragmentNode):
                inner = self._selection_set_size(node.selection_set)
            else:
                inner = ExpandedSize()
            is_field = isinstance(node, FieldNode)
            if isinstance(node, FieldNode) and node.selection_set:
                self._object_selections[(node.alias or node.name).value] += 1
            outer = ExpandedSize(
                selections=inner.selections + 1,
                aliases=inner.aliases + (isinstance(node, FieldNode) and node.alias is not None),
                directives=inner.directives + len(node.directives or ()),
                depth=inner.depth + is_field,
                nesting=inner.nesting + 1,
            )
            total = self._checked(total.combine(outer))
        return total

    def _fragment_size(self, name: str) -> ExpandedSize:
        fragment = self._fragments.get(name)
        if fragment is None or name in self._visiting:  # unknown or cyclic: validation reports it
            return ExpandedSize()
        if name not in self._sizes:
            self._visiting.add(name)
            self._sizes[name] = self._selection_set_size(fragment.selection_set)
            self._visiting.discard(name)
        return self._sizes[name]

    def _checked(self, size: ExpandedSize) -> ExpandedSize:
        for name, value in zip(ExpandedSize._fields, size, strict=True):
            if value > (limit := getattr(self._limits, name)):
                raise too_complex(f"{name} above {limit}")
        return size


def too_complex(reason: str) -> GraphQLError:
    return coded_error("QUERY_TOO_COMPLEX", f"The document asks for too much: {reason}.")
