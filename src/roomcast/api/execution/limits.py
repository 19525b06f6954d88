"""What a document may ask for before anything of it runs. Every measure takes time linear in the document's size.

The limits that libraries ship were exponential on nested fragments, so a fragment is measured once here and counted
as often as it is spread.
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
    SelectionNode,
    SelectionSetNode,
)

from roomcast.api.errors import coded_error

DEFAULT_RESPONSE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """`selections` to `nesting` count what the document expands to, fragments included.

    `depth` counts fields within fields, `nesting` fragments within fragments too. `cost` is in fields, pages
    multiplied in; also the fields that are executed, whatever was expected of lists. `event_cost`: that of a
    subscription, which is executed for every event and for nobody's allowance. `repeats`: places in the text that ask
    for one object, which validation compares in pairs. `response_bytes`: of one answer or event.
    """

    source_characters: int = 20_000
    tokens: int = 2_000
    selections: int = 500
    aliases: int = 50
    directives: int = 50
    depth: int = 16
    nesting: int = 64
    root_fields: int = 20
    repeats: int = 30
    cost: int = 30_000
    operation_seconds: float = 20.0
    event_cost: int = 5_000
    response_bytes: int = DEFAULT_RESPONSE_BYTES


class ExpandedSize(NamedTuple):
    """Of a selection set, expanded. The names are those of the limits."""

    selections: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0
    nesting: int = 0

    def beside(self, other: "ExpandedSize") -> "ExpandedSize":
        return ExpandedSize(
            self.selections + other.selections,
            self.aliases + other.aliases,
            self.directives + other.directives,
            max(self.depth, other.depth),
            max(self.nesting, other.nesting),
        )


class SizeChecker:
    """One document's sizes. Raises QUERY_TOO_COMPLEX at the first limit that is passed."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self._limits = limits
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._known: dict[str, ExpandedSize] = {}
        self._open: set[str] = set()
        self._asked: Counter[str] = Counter()
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self.size = self._checked(self._of(definition.selection_set))
        for name in self._fragments:  # unused ones too: validation walks them
            self._of_fragment(name)
        if max(self._asked.values(), default=0) > limits.repeats:
            raise too_complex(f"repeats above {limits.repeats}")

    def root_fields(self, operation: OperationDefinitionNode) -> list[str]:
        """The names of an operation's fields, as often as it asks for them, whatever fragments hide them.

        Raises QUERY_TOO_COMPLEX.
        """
        found, waiting, seen = [], [operation.selection_set], 0
        while waiting and seen <= self._limits.selections:
            for node in waiting.pop().selections:
                seen += 1
                if isinstance(node, FieldNode):
                    found.append(node.name.value)
                elif isinstance(node, InlineFragmentNode):
                    waiting.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and (fragment := self._fragments.get(node.name.value)):
                    waiting.append(fragment.selection_set)
        if len(found) > self._limits.root_fields:
            raise too_complex(f"root_fields above {self._limits.root_fields}")
        return found

    def _of(self, selections: SelectionSetNode | None) -> ExpandedSize:
        total = ExpandedSize()
        for node in selections.selections if selections else ():
            inner = self._inside(node)
            if isinstance(node, FieldNode) and node.selection_set:
                self._asked[(node.alias or node.name).value] += 1
            is_field = isinstance(node, FieldNode)
            here = ExpandedSize(
                selections=inner.selections + 1,
                aliases=inner.aliases + (isinstance(node, FieldNode) and node.alias is not None),
                directives=inner.directives + len(node.directives or ()),
                depth=inner.depth + is_field,
                nesting=inner.nesting + 1,
            )
            total = self._checked(total.beside(here))
        return total

    def _inside(self, node: SelectionNode) -> ExpandedSize:
        if isinstance(node, FragmentSpreadNode):
            return self._of_fragment(node.name.value)
        return self._of(node.selection_set) if isinstance(node, FieldNode | InlineFragmentNode) else ExpandedSize()

    def _of_fragment(self, name: str) -> ExpandedSize:
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:  # unknown or cyclic: validation says so
            return ExpandedSize()
        if name not in self._known:
            self._open.add(name)
            self._known[name] = self._of(fragment.selection_set)
            self._open.discard(name)
        return self._known[name]

    def _checked(self, size: ExpandedSize) -> ExpandedSize:
        for name, value in zip(ExpandedSize._fields, size, strict=True):
            if value > (limit := getattr(self._limits, name)):
                raise too_complex(f"{name} above {limit}")
        return size


def too_complex(why: str) -> GraphQLError:
    return coded_error("QUERY_TOO_COMPLEX", f"The document asks for too much: {why}.")
