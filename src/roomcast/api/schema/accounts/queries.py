"""Queries for the viewer and other users."""

from typing import Annotated

import strawberry

from roomcast.accounts import models
from roomcast.accounts import queries as accounts
from roomcast.api.context import Info
from roomcast.api.schema.accounts.inputs import UserFilter
from roomcast.api.schema.accounts.types import User, UserConnection, Viewer
from roomcast.api.schema.connections import After, Before, ConnectionPage, First, Last, connection_of
from roomcast.core.actor import Actor
from roomcast.core.ids import local_id
from roomcast.core.paging import window


@strawberry.type
class Query:
    @strawberry.field(graphql_type=Viewer | None, description="The signed-in user. Null without credentials.")
    def me(self, info: Info) -> Actor | None:
        return info.context.viewer

    @strawberry.field(graphql_type=Viewer | None, description="The same as `me`, under the name that Relay looks for.")
    def viewer(self, info: Info) -> Actor | None:
        return info.context.viewer

    @strawberry.field(graphql_type=User | None, description="The user with this id. Null if there is none.")
    async def user(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id of a user, `user_…`.")],  # noqa: A002 (GraphQL's name)
    ) -> models.User | None:
        _ = info.context.actor  # raises Unauthenticated
        user_id = local_id("user", id)
        return await info.context.users.load(user_id) if user_id else None

    @strawberry.field(graphql_type=UserConnection | None, description="All users, ordered by username.")
    async def users(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[  # noqa: A002 (GraphQL's name)
            UserFilter | None, strawberry.argument(description="Only users that match all of its fields.")
        ] = None,
    ) -> ConnectionPage:
        context, page = info.context, window(first, after, last, before)
        user_filter = accounts.UserFilter(filter.query, filter.role) if filter else accounts.UserFilter()
        users = await context.read(accounts.users, context.actor, user_filter, page)
        return connection_of(users, count=lambda: context.read(accounts.user_count, context.actor, user_filter))
