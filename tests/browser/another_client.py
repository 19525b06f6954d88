"""Clients of the API over plain HTTP: other users of the server that a page is connected to."""

from typing import Any

import httpx


def data_of(server: str, document: str, variables: dict[str, Any], token: str = "") -> Any:
    """Execute an operation and return its data. Top-level errors fail the test."""
    answer = httpx.post(
        f"{server}/graphql",
        json={"query": document, "variables": variables},
        headers={"Authorization": f"Bearer {token}"} if token else {},
        trust_env=False,
    )
    body = answer.raise_for_status().json()
    assert "errors" not in body, body
    return body["data"]


def ask(server: str, document: str, variables: dict[str, Any], token: str = "") -> Any:
    """Execute a mutation and return its payload. Any error fails the test."""
    (payload,) = data_of(server, document, variables, token).values()
    assert not payload["errors"], payload
    return payload


def sign_up(server: str, username: str) -> str:
    """Create an account. Returns its access token."""
    document = (
        "mutation ($input: SignupInput!) { signup(input: $input) { errors { code message } tokens { accessToken } } }"
    )
    person = {"username": username, "password": "three blind mice ran"}
    token: str = ask(server, document, {"input": person})["tokens"]["accessToken"]
    return token


def create_room(server: str, token: str, name: str) -> dict[str, str]:
    """Create a room. Returns its id and streamCursor."""
    document = (
        "mutation ($input: CreateRoomInput!)"
        " { createRoom(input: $input) { errors { code message } room { id streamCursor } } }"
    )
    room: dict[str, str] = ask(server, document, {"input": {"name": name}}, token)["room"]
    return room


def say(server: str, token: str, room_id: str, body: str) -> None:
    document = "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { errors { code message } } }"
    ask(server, document, {"input": {"roomId": room_id, "body": body}}, token)
