"""The GraphQL schema: merges the Query, Mutation and Subscription types of all features."""

from functools import cache
from itertools import chain
from types import ModuleType

import strawberry
from graphql import GraphQLInputObjectType, GraphQLSchema, Undefined
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types import get_object_definition

from roomcast.api.execution.fast_resolvers import install_fast_resolvers
from roomcast.api.schema import server
from roomcast.api.schema.accounts import mutations as account_mutations
from roomcast.api.schema.accounts import queries as account_queries
from roomcast.api.schema.inbox import subscriptions as inbox_subscriptions
from roomcast.api.schema.messages import mutations as message_mutations
from roomcast.api.schema.messages import queries as message_queries
from roomcast.api.schema.moderation import mutations as moderation_mutations
from roomcast.api.schema.moderation import queries as moderation_queries
from roomcast.api.schema.notifications import mutations as notification_mutations
from roomcast.api.schema.presence import mutations as presence_mutations
from roomcast.api.schema.presence import subscriptions as presence_subscriptions
from roomcast.api.schema.receipts import mutations as receipt_mutations
from roomcast.api.schema.rooms import mutations as room_mutations
from roomcast.api.schema.rooms import queries as room_queries
from roomcast.api.schema.scalars import SCALARS
from roomcast.api.schema.streams import subscriptions
from roomcast.api.schema.streams.events import EVENT_TYPES
from roomcast.api.schema.threads import mutations as thread_mutations
from roomcast.api.schema.threads import queries as thread_queries
from roomcast.api.schema.uploads import mutations as upload_mutations

QUERIES = (server, account_queries, room_queries, message_queries, thread_queries, moderation_queries)
MUTATIONS = (
    account_mutations,
    room_mutations,
    message_mutations,
    presence_mutations,
    receipt_mutations,
    thread_mutations,
    upload_mutations,
    moderation_mutations,
    notification_mutations,
)
SUBSCRIPTIONS = (subscriptions, inbox_subscriptions, presence_subscriptions)


@cache
def build_schema() -> strawberry.Schema:
    """The schema. It never changes, so all apps of a process share it."""
    schema = strawberry.Schema(
        query=_root_type("Query", "Reads. Fields that are refused are null, beside an error with a code.", QUERIES),
        mutation=_root_type("Mutation", "Changes. A payload's `errors` say why nothing was changed.", MUTATIONS),
        subscription=_root_type("Subscription", "Streams of events, over WebSockets or HTTP.", SUBSCRIPTIONS),
        types=EVENT_TYPES,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    _remove_null_defaults(schema._schema)
    install_fast_resolvers(schema._schema)
    return schema


def _root_type(name: str, description: str, modules: tuple[ModuleType, ...]) -> type:
    """One root type with the fields of the classes of this name in all modules."""
    merged = merge_types(name, tuple(getattr(module, name) for module in modules))
    get_object_definition(merged, strict=True).description = description
    return merged


def _remove_null_defaults(schema: GraphQLSchema) -> None:
    """Make optional arguments and input fields optional only: strawberry gives them the default null.

    A resolver whose argument is left out gets the default of its Python parameter.
    """
    for type_ in schema.type_map.values():
        fields = getattr(type_, "fields", {}).values()
        arguments = chain.from_iterable(getattr(field, "args", {}).values() for field in fields)
        for optional in fields if isinstance(type_, GraphQLInputObjectType) else arguments:
            if optional.default_value is None:
                optional.default_value = Undefined


@cache
def printed_schema() -> str:
    """The schema in GraphQL's schema definition language."""
    definition = "directive @oneOf on INPUT_OBJECT"
    described = (
        f'"""Exactly one field of the input is given, and it is not null."""\n{definition}'  # strawberry has no text
    )
    return build_schema().as_str().replace(definition, described) + "\n"
