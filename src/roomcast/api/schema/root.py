"""The GraphQL schema: merges the Query, Mutation and Subscription types of all features."""

from functools import cache

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

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
        query=merge_types("Query", tuple(module.Query for module in QUERIES)),
        mutation=merge_types("Mutation", tuple(module.Mutation for module in MUTATIONS)),
        subscription=merge_types("Subscription", tuple(module.Subscription for module in SUBSCRIPTIONS)),
        types=EVENT_TYPES,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    install_fast_resolvers(schema._schema)
    return schema


@cache
def printed_schema() -> str:
    """The schema in GraphQL's schema definition language."""
    return build_schema().as_str() + "\n"
