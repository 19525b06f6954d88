"""Fast resolvers: calls the resolvers of fields without arguments directly instead of through Strawberry.

For each value of a field, Strawberry converts arguments, runs field extensions and collects the resolver's parameters.
A field without arguments needs only the source object and `info`. A page of fifty rooms has hundreds of such values.
"""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from strawberry import Info
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

Resolve = Callable[[Any, GraphQLResolveInfo[Any]], Any]


def install_fast_resolvers(schema: GraphQLSchema) -> None:
    """Replace the resolver of every field that has no arguments and no extensions. The values stay the same."""
    types = (type_ for type_ in schema.type_map.values() if isinstance(type_, GraphQLObjectType))
    for type_ in types:
        if type_ is not schema.subscription_type:
            for field in type_.fields.values():
                field.resolve = _fast_resolver(field) or field.resolve


def _fast_resolver(field: GraphQLField) -> Resolve | None:
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryField) or definition.extensions or field.args:
        return None
    resolver = definition.base_resolver
    if resolver is None:
        name = definition.python_name
        return lambda source, _info: getattr(source, name)
    function: Any = resolver.wrapped_func
    source_name = next((p.name for p in (resolver.parent_parameter, resolver.root_parameter) if p), None)
    info_name = resolver.info_parameter.name if resolver.info_parameter else None
    is_method = resolver.self_parameter is not None

    def resolve(source: Any, raw: GraphQLResolveInfo[Any]) -> Any:
        arguments: dict[str, Any] = {}
        if source_name is not None:
            arguments[source_name] = source
        if info_name is not None:
            arguments[info_name] = Info(raw, definition)
        return function(source, **arguments) if is_method else function(**arguments)

    return resolve
