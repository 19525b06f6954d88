"""What a document may cost before anything of it runs. Every measure takes time linear in the document's size.

The limits that libraries ship were exponential on nested fragments, so a fragment is measured once here and counted
as often as it is spread.
"""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from roomcast.api.errors import coded


@dataclass(frozen=True, slots=True)
class Limits:
    """`fields`, `aliases` and `directives` count what the document expands to, fragments included."""

    source_characters: int = 20_000
    tokens: int = 2_000
    depth: int = 16
    fields: int = 1_000
    aliases: int = 50
    directives: int = 50
    root_fields: int = 20
    operation_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: "Size") -> "Size":
        return Size(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
        )


class Measure:
    """One document's sizes. Raises QUERY_TOO_COMPLEX at the first limit that is passed."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self._limits = limits
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._known: dict[str, Size] = {}
        self._open: set[str] = set()
        for definition in document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._check(self._of(definition.selection_set))
                if len(definition.selection_set.selections) > limits.root_fields:
                    raise too_complex(f"more than {limits.root_fields} root fields")
        for name in self._fragments:  # unused ones too: validation walks them
            self._of_fragment(name)

    def _of(self, selections: SelectionSetNode | None) -> Size:
        total = Size()
        for node in selections.selections if selections else ():
            here = Size(directives=len(node.directives or ()))
            if isinstance(node, FieldNode):
                inner = self._of(node.selection_set)
                here = here.beside(Size(inner.depth + 1, inner.fields + 1, inner.aliases + bool(node.alias)))
                here = here.beside(Size(directives=inner.directives))
            elif isinstance(node, FragmentSpreadNode):
                here = here.beside(self._of_fragment(node.name.value))
            else:
                here = here.beside(self._of(getattr(node, "selection_set", None)))
            total = total.beside(here)
            self._check(total)
        return total

    def _of_fragment(self, name: str) -> Size:
        fragment = self._fragments.get(name)
        if fragment is None or name in self._open:  # unknown or cyclic: validation says so
            return Size()
        if name not in self._known:
            self._open.add(name)
            self._known[name] = self._of(fragment.selection_set)
            self._open.discard(name)
        return self._known[name]

    def _check(self, size: Size) -> None:
        for name in ("depth", "fields", "aliases", "directives"):
            if getattr(size, name) > (limit := getattr(self._limits, name)):
                raise too_complex(f"{name} above {limit}")


def too_complex(why: str) -> Exception:
    return coded("QUERY_TOO_COMPLEX", f"The document asks for too much: {why}.")
