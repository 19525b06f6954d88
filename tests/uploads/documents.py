"""GraphQL documents of uploads, and helpers that upload and download files."""

import io
from typing import Any

import httpx
from PIL import Image

from tests.api_clients import Json, UserClient

CREATE = (
    "mutation Ticket($input: CreateUploadInput!) { createUpload(input: $input) { errors { code path retryable } "
    "uploadId uploadUrl headers { name value } expiresAt } }"
)
ATTACHMENT = "id filename contentType byteSize width height sha256 url thumbnailUrl"
SEND = (
    "mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { errors { code path retryable } replayed "
    "message { id body attachments { " + ATTACHMENT + " } } } }"
)
MESSAGE = "query Read($id: ID!) { message(id: $id) { body deletedAt attachments { " + ATTACHMENT + " } } }"
HISTORY = (
    "query History($id: ID!) { messages(roomId: $id, last: 50) { nodes { id body attachments { "
    + ATTACHMENT
    + " } } } }"
)
PROFILE = (
    "mutation Profile($input: UpdateProfileInput!) { updateProfile(input: $input) "
    "{ errors { code path } user { id avatarUrl } } }"
)


async def ticket(person: UserClient, size: int, name: str = "notes.txt", kind: str = "text/plain") -> Json:
    payload = await person.mutate(CREATE, filename=name, contentType=kind, byteSize=size)
    assert payload["errors"] == []
    return payload


async def put(person: UserClient, upload_ticket: Json, content: Any, **headers: str) -> httpx.Response:
    """Send the content to the upload link, without the user's access token."""
    required_headers = {header["name"]: header["value"] for header in upload_ticket["headers"]}
    async with httpx.AsyncClient(timeout=60) as client:
        return await client.put(upload_ticket["uploadUrl"], content=content, headers={**required_headers, **headers})


async def upload(person: UserClient, content: bytes, name: str = "notes.txt", kind: str = "text/plain") -> str:
    """Upload a file. Returns its id."""
    upload_ticket = await ticket(person, len(content), name, kind)
    answer = await put(person, upload_ticket, content)
    assert answer.status_code == 200, answer.text
    return str(upload_ticket["uploadId"])


async def post(
    person: UserClient, room_id: str, content: bytes, name: str = "notes.txt", kind: str = "text/plain"
) -> Json:
    """Send a message with this file. Returns the attachment, with the id of the message."""
    file_id = await upload(person, content, name, kind)
    payload = await person.mutate(SEND, roomId=room_id, body="", attachmentIds=[file_id])
    assert payload["errors"] == []
    [attachment] = payload["message"]["attachments"]
    return {**attachment, "message": payload["message"]["id"]}


async def fetch(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Request a file link without an access token."""
    async with httpx.AsyncClient() as client:
        return await client.request(method, url, headers=headers)


def code(answer: httpx.Response) -> tuple[int, str]:
    [error] = answer.json()["errors"]
    return answer.status_code, error["extensions"]["code"]


def codes(payload: Json) -> list[str]:
    return [error["code"] for error in payload["errors"]]


def picture(width: int, height: int, kind: str = "png", **options: Any) -> bytes:
    """An encoded picture."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, kind, **options)
    return file.getvalue()
