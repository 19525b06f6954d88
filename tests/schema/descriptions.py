"""Lists what the served schema does not describe: `python -m tests.schema.descriptions`, part of `make check`.

Every type, field, argument, input field and enum value needs a description, and every deprecation a reason that names
the replacement and the day of the removal (docs/schema-evolution.md).
"""

import re
import sys
from collections.abc import Iterator
from itertools import groupby

from graphql import (
    GraphQLArgument,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLNamedType,
    GraphQLSchema,
    build_schema,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_introspection_type,
    is_object_type,
    is_specified_scalar_type,
)

from roomcast.api.schema import root

Described = GraphQLNamedType | GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue


REASON = re.compile(r"Use `.+`.* [Rr]emoved (?:on|after) \d{4}-\d{2}-\d{2}\.")
"""For example: Use `Room.topic` instead. Removed after 2028-01-31."""


def elements(schema: GraphQLSchema) -> Iterator[tuple[str, Described]]:
    """Each type of the schema and its members, by schema coordinate. What GraphQL itself defines is left out."""
    for name, kind in sorted(schema.type_map.items()):
        if is_introspection_type(kind) or is_specified_scalar_type(kind):
            continue
        yield name, kind
        if is_enum_type(kind):
            yield from ((f"{name}.{value_name}", value) for value_name, value in kind.values.items())
        elif is_input_object_type(kind):
            yield from ((f"{name}.{field_name}", field) for field_name, field in kind.fields.items())
        elif is_object_type(kind) or is_interface_type(kind):
            for field_name, field in kind.fields.items():
                yield f"{name}.{field_name}", field
                yield from ((f"{name}.{field_name}({argument}:)", arg) for argument, arg in field.args.items())


def undescribed(schema: GraphQLSchema) -> list[str]:
    """The coordinates of what has no description, or an empty one."""
    return [coordinate for coordinate, element in elements(schema) if not (element.description or "").strip()]


def vague_deprecations(schema: GraphQLSchema) -> list[str]:
    """The coordinates of deprecations whose reason lacks the replacement or the day of the removal."""
    reasons = ((coordinate, getattr(element, "deprecation_reason", None)) for coordinate, element in elements(schema))
    return [coordinate for coordinate, reason in reasons if reason is not None and not REASON.search(reason)]


def listed(title: str, coordinates: list[str]) -> list[str]:
    """One line for each type: its members that are at fault, without the name of the type."""
    lines = [f"{title} ({len(coordinates)}):"]
    for name, group in groupby(coordinates, lambda coordinate: coordinate.partition(".")[0]):
        members = [coordinate.partition(".")[2] or "the type itself" for coordinate in group]
        lines.append(f"  {name}: {', '.join(members)}")
    return lines if coordinates else []


def faults(schema: GraphQLSchema) -> str:
    """What is wrong, to read; empty if nothing is."""
    return "\n".join(
        [
            *listed("Without a description", undescribed(schema)),
            *listed(
                "Deprecated without a replacement and a day, as in docs/schema-evolution.md", vague_deprecations(schema)
            ),
        ]
    )


def main() -> int:
    found = faults(build_schema(root.printed_schema()))
    print(found, end="\n" if found else "")  # noqa: T201 (for the person who runs make check)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
