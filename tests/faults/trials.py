"""Trials of mutations: their variables and effects, and a document for each mutation, generated from the schema."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, build_schema, get_named_type

from tests.api_clients import AnonymousClient, GraphQLErrors, Json, UserClient
from tests.faults.lanes import Lane

SCHEMA = Path(__file__).parents[2] / "schema.graphql"
SELECTIONS = {
    "cursor": "cursor",
    "room": "room { id memberCount }",
    "message": "message { id body }",
    "user": "user { id username }",
    "tokens": "tokens { accessToken refreshToken }",
    "uploadId": "uploadId",
    "invite": "invite { code }",
    "thread": "thread { id replyCount }",
}
"""The selection for each field that a payload may have besides its errors."""


@dataclass
class Trial:
    """A mutation to send. `effect` is SQL that counts how often it has taken effect: 0 before it is sent.

    `room_id`: the room whose log it may write. `is_keyed`: it takes effect once even if it is sent again.
    """

    actor: AnonymousClient
    variables: Json
    effect: str | None
    arguments: tuple[Any, ...] = ()
    room_id: str | None = None
    is_keyed: bool = False


Prepare = Callable[[Lane], Awaitable[Trial]]
TRIALS: dict[str, Prepare] = {}


def trial_of(mutation: str) -> Callable[[Prepare], Prepare]:
    """Register a function that prepares a trial. Several trials of one mutation have a suffix after a colon."""

    def register(prepare: Prepare) -> Prepare:
        assert mutation not in TRIALS
        TRIALS[mutation] = prepare
        return prepare

    return register


@cache
def schema() -> GraphQLSchema:
    return build_schema(SCHEMA.read_text(), assume_valid=True)


def mutations() -> dict[str, Any]:
    """The schema's mutations by name."""
    mutation = schema().mutation_type
    assert mutation is not None
    return dict(mutation.fields)


@cache
def document(name: str) -> str:
    field = mutations()[name]
    payload = get_named_type(field.type)
    assert isinstance(payload, GraphQLObjectType)
    chosen = " ".join(text for known, text in SELECTIONS.items() if known in payload.fields)
    selection = "{ errors { code message path retryable } " + chosen + " }"
    if not field.args:
        return f"mutation M {{ {name} {selection} }}"
    return f"mutation M($input: {field.args['input'].type}) {{ {name}(input: $input) {selection} }}"


async def prepared(lane: Lane, name: str) -> Trial:
    """Prepare a trial, with up to three attempts: timeouts are short here, and the machine may be busy."""
    for _ in range(2):
        try:
            return await TRIALS[name](lane)
        except GraphQLErrors:
            await lane.settle()
    return await TRIALS[name](lane)


def uid(global_id: str) -> uuid.UUID:
    """The UUID behind a typed id."""
    return uuid.UUID(global_id.partition("_")[2])


async def do(actor: AnonymousClient, name: str, /, **arguments: Any) -> Json:
    """Run a mutation that must succeed and return its payload."""
    payload = await actor.mutate(document(name), **arguments)
    assert payload["errors"] == [], (name, payload)
    return payload


async def people(lane: Lane) -> tuple[UserClient, UserClient]:
    """The administrator of the lane and a second user. They are the same for all trials."""
    for name in ("ann", "bob"):
        if name not in lane.people:
            lane.people[name] = await lane.person(name)
    return lane.people["ann"], lane.people["bob"]


async def shared_room(lane: Lane) -> str:
    """The room of these two users that all trials of messages share."""
    ann, bob = await people(lane)
    if not lane.shared_room_id:
        lane.shared_room_id = await ann.create_room(lane.name("den"), memberIds=[bob.id])
    return lane.shared_room_id


async def room(lane: Lane, *members: UserClient, **more: Any) -> str:
    """A new room of the administrator's with these members."""
    ann, _ = await people(lane)
    return await ann.create_room(lane.name("room"), memberIds=[member.id for member in members], **more)


async def message(lane: Lane) -> str:
    """A new message of the administrator's in the shared room."""
    ann, _ = await people(lane)
    [sent] = await ann.send_messages(await shared_room(lane), lane.name("text"))
    return str(sent["id"])
