"""Somebody else on the same server: plain HTTP, so that a test can say who a page hears."""

from typing import Any

import httpx


def data_of(server: str, document: str, variables: dict[str, Any], token: str = "") -> Any:
    """The data of one operation; an error of the operation as a whole fails the test."""
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
    """The payload of one mutation; an error of any kind fails the test."""
    (payload,) = data_of(server, document, variables, token).values()
    assert not payload["errors"], payload
    return payload


def sign_up(server: str, username: str) -> str:
    """A new person's access token."""
    document = (
        "mutation ($input: SignupInput!) { signup(input: $input) { errors { code message } tokens { accessToken } } }"
    )
    person = {"username": username, "password": "three blind mice ran"}
    token: str = ask(server, document, {"input": person})["tokens"]["accessToken"]
    return token


def create_room(server: str, token: str, name: str) -> dict[str, str]:
    """A new room's id and streamCursor."""
    document = (
        "mutation ($input: CreateRoomInput!)"
        " { createRoom(input: $input) { errors { code message } room { id streamCursor } } }"
    )
    room: dict[str, str] = ask(server, document, {"input": {"name": name}}, token)["room"]
    return room


def say(server: str, token: str, room_id: str, body: str) -> None:
    document = "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { errors { code message } } }"
    ask(server, document, {"input": {"roomId": room_id, "body": body}}, token)
