"""Resolvers without arguments, called straight.

Strawberry converts arguments, runs field extensions and gathers what a resolver asks for, for each value of a field
anew. A field without arguments needs nothing of it but the source and `info`; a page of fifty rooms has hundreds.
"""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from strawberry import Info
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

Resolve = Callable[[Any, GraphQLResolveInfo[Any]], Any]


def install_fast_resolvers(schema: GraphQLSchema) -> None:
    """Have the fields that need nothing more answer so; the answers stay the same."""
    kinds = (kind for kind in schema.type_map.values() if isinstance(kind, GraphQLObjectType))
    for kind in kinds:
        if kind is not schema.subscription_type:
            for field in kind.fields.values():
                field.resolve = _straight(field) or field.resolve


def _straight(field: GraphQLField) -> Resolve | None:
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryField) or definition.extensions or field.args:
        return None
    if definition.base_resolver is None:
        return _attribute(definition.python_name)
    return _called(definition, definition.base_resolver)


def _attribute(name: str) -> Resolve:
    return lambda source, _info: getattr(source, name)


def _called(definition: StrawberryField, resolver: StrawberryResolver[Any]) -> Resolve | None:
    function: Any = resolver.wrapped_func
    source_name = next((p.name for p in (resolver.parent_parameter, resolver.root_parameter) if p), None)
    info_name = resolver.info_parameter.name if resolver.info_parameter else None
    is_method = resolver.self_parameter is not None

    def resolve(source: Any, raw: GraphQLResolveInfo[Any]) -> Any:
        given: dict[str, Any] = {}
        if source_name is not None:
            given[source_name] = source
        if info_name is not None:
            given[info_name] = Info(raw, definition)
        return function(source, **given) if is_method else function(**given)

    return resolve
