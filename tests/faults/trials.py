"""What a trial of a mutation is, and a document for each mutation, made from the schema itself."""

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
    "code": "code",
}
"""What is selected of a payload where it has such a field, beside its errors."""


@dataclass
class Trial:
    """One mutation about to be sent. `effect` is SQL that counts how often it has happened: 0 before it is sent.

    `room_id`: a room whose log it may write. `is_keyed`: repeated as it is, it happens once.
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
    """Enter a preparation in the table. Several of one mutation have a suffix after a colon."""

    def enter(prepare: Prepare) -> Prepare:
        assert mutation not in TRIALS
        TRIALS[mutation] = prepare
        return prepare

    return enter


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
    """A new trial. Time-outs are short here, and a busy machine may need a second try without any fault."""
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
    """The payload of a preparing mutation, which is expected to succeed."""
    payload = await actor.mutate(document(name), **arguments)
    assert payload["errors"] == [], (name, payload)
    return payload


async def people(lane: Lane) -> tuple[UserClient, UserClient]:
    """The lane's administrator, and somebody else; the same two for every trial."""
    for name in ("ann", "bob"):
        if name not in lane.people:
            lane.people[name] = await lane.person(name)
    return lane.people["ann"], lane.people["bob"]


async def den(lane: Lane) -> str:
    """A room of the two that trials of messages share."""
    ann, bob = await people(lane)
    if not lane.den:
        lane.den = await ann.create_room(lane.name("den"), memberIds=[bob.id])
    return lane.den


async def room(lane: Lane, *members: UserClient, **more: Any) -> str:
    """A new room of the administrator's with these members."""
    ann, _ = await people(lane)
    return await ann.create_room(lane.name("room"), memberIds=[member.id for member in members], **more)


async def message(lane: Lane) -> str:
    """A new message of the administrator's in the shared room."""
    ann, _ = await people(lane)
    [sent] = await ann.send_messages(await den(lane), lane.name("words"))
    return str(sent["id"])
