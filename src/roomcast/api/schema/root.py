"""The schema: every door's part of Query, Mutation and Subscription, merged."""

from functools import cache

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from roomcast.api.execution.fast_resolvers import install_fast_resolvers
from roomcast.api.schema import server
from roomcast.api.schema.accounts import accounts, administration
from roomcast.api.schema.inbox import inbox
from roomcast.api.schema.messages import messages, search
from roomcast.api.schema.moderation import moderation
from roomcast.api.schema.notifications import notifications
from roomcast.api.schema.presence import presence
from roomcast.api.schema.receipts import receipts
from roomcast.api.schema.rooms import members, room_changes, rooms
from roomcast.api.schema.scalars import SCALARS
from roomcast.api.schema.streams import subscriptions
from roomcast.api.schema.streams.events import EVENT_TYPES
from roomcast.api.schema.uploads import uploads


@cache
def build_schema() -> strawberry.Schema:
    """The same for every app of this process: nothing in it changes."""
    schema = strawberry.Schema(
        query=merge_types(
            "Query",
            (server.Query, accounts.Query, rooms.Query, members.Query, messages.Query, search.Query, moderation.Query),
        ),
        mutation=merge_types(
            "Mutation",
            (
                accounts.Mutation,
                administration.Mutation,
                room_changes.Mutation,
                members.Mutation,
                messages.Mutation,
                presence.Mutation,
                receipts.Mutation,
                uploads.Mutation,
                moderation.Mutation,
                notifications.Mutation,
            ),
        ),
        subscription=merge_types(
            "Subscription", (subscriptions.Subscription, inbox.Subscription, presence.Subscription)
        ),
        types=EVENT_TYPES,
        config=StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True),
    )
    install_fast_resolvers(schema._schema)
    return schema


@cache
def printed_schema() -> str:
    """What clients read of it, in the schema definition language."""
    return build_schema().as_str() + "\n"
