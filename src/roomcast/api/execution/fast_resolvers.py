"""Fast resolvers: calls the resolvers of fields without arguments directly instead of through Strawberry.

For each value of a field, Strawberry converts arguments, runs field extensions and collects the resolver's parameters.
A field without arguments needs only the source object and `info`. A page of fifty rooms has hundreds of such values.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, ClassVar, get_args, get_origin

from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from strawberry import Info
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField


@dataclass(frozen=True, slots=True)
class AttributeResolver:
    """The resolver of a field that shows an attribute of its source."""

    name: str
    may_wait: ClassVar[bool] = False

    def __call__(self, source: Any, _info: GraphQLResolveInfo[Any]) -> Any:
        return getattr(source, self.name)


@dataclass(frozen=True, slots=True)
class FunctionResolver:
    """The resolver of a field that has a function.

    The function gets the source as its first argument if it is a method, and source and `info` by these names.
    `may_wait`: whether its signature says that it may return an awaitable.
    """

    function: Callable[..., Any]
    definition: StrawberryField
    is_method: bool
    source_name: str | None
    info_name: str | None
    may_wait: bool

    def __call__(self, source: Any, raw: GraphQLResolveInfo[Any]) -> Any:
        arguments: dict[str, Any] = {}
        if self.source_name is not None:
            arguments[self.source_name] = source
        if self.info_name is not None:
            arguments[self.info_name] = Info(raw, self.definition)
        return self.function(source, **arguments) if self.is_method else self.function(**arguments)


def install_fast_resolvers(schema: GraphQLSchema) -> None:
    """Replace the resolver of every field that has no arguments and no extensions. The values stay the same."""
    types = (type_ for type_ in schema.type_map.values() if isinstance(type_, GraphQLObjectType))
    for type_ in types:
        if type_ is not schema.subscription_type:
            for field in type_.fields.values():
                field.resolve = _fast_resolver(field) or field.resolve


def _fast_resolver(field: GraphQLField) -> AttributeResolver | FunctionResolver | None:
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if not isinstance(definition, StrawberryField) or definition.extensions or field.args:
        return None
    resolver = definition.base_resolver
    if resolver is None:
        return AttributeResolver(definition.python_name)
    function: Any = resolver.wrapped_func
    return FunctionResolver(
        function,
        definition,
        is_method=resolver.self_parameter is not None,
        source_name=next((p.name for p in (resolver.parent_parameter, resolver.root_parameter) if p), None),
        info_name=resolver.info_parameter.name if resolver.info_parameter else None,
        may_wait=iscoroutinefunction(function) or _names_awaitable(function.__annotations__.get("return")),
    )


def _names_awaitable(annotation: Any) -> bool:
    return get_origin(annotation) is Awaitable or any(map(_names_awaitable, get_args(annotation)))
