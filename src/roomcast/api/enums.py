"""Registers the enums of the features with GraphQL and describes their values."""

from enum import StrEnum

import strawberry


def describe_enum(enum: type[StrEnum], description: str, **values: str) -> None:
    """Register the enum. `values`: the description of each of its values. Raises KeyError if one is missing."""
    strawberry.enum(enum, description=description)
    definition = enum.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values.pop(value.name)
    if values:
        raise KeyError(f"{enum.__name__} has no value {', '.join(values)}")
