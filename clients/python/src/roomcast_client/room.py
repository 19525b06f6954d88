"""A room: its history, its events, and messages that are sent once."""

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from roomcast_client.events import RoomEvent
from roomcast_client.models import MESSAGE, Message, MessagePage

if TYPE_CHECKING:
    from roomcast_client.client import Roomcast

ROOM: Final = "id name topic"
MESSAGES: Final = f"""query Messages($roomId: ID!, $last: Int!, $before: String, $thread: ID) {{
  messages(roomId: $roomId, last: $last, before: $before, threadRootId: $thread) {{
    nodes {{ {MESSAGE} }} pageInfo {{ hasPreviousPage startCursor }} streamCursor
  }}
}}"""
SEND: Final = f"""mutation SendMessage($input: SendMessageInput!) {{
  sendMessage(input: $input) {{
    errors {{ code message path retryable retryAfterMs }} message {{ {MESSAGE} }}
  }}
}}"""


class Room:
    """A room as it was when it was loaded. `name` is None for direct conversations."""

    def __init__(self, roomcast: "Roomcast", data: Mapping[str, Any]) -> None:
        self._roomcast = roomcast
        self.id: str = data["id"]
        self.name: str | None = data["name"]
        self.topic: str | None = data["topic"]

    async def messages(self, last: int = 50, before: str | None = None, thread: str | None = None) -> MessagePage:
        """A page of the history. `before`: that of a later page. `thread`: the id of the message that began it."""
        variables = {"roomId": self.id, "last": last, "before": before, "thread": thread}
        data = await self._roomcast.execute(MESSAGES, variables, repeatable=True)
        return MessagePage.read(data["messages"])

    async def send(
        self,
        body: str,
        *,
        reply_to: str | None = None,
        thread: str | None = None,
        client_message_id: UUID | None = None,
    ) -> Message:
        """Send a message once, however often the connection is lost meanwhile.

        The key of the message is `client_message_id`. Give your own to make a message unique beyond this call: a bot
        that answers with a key made from the id of the question answers once, also if it is restarted in between.
        """
        wanted = {
            "roomId": self.id,
            "body": body,
            "replyToId": reply_to,
            "threadRootId": thread,
            "clientMessageId": str(client_message_id or uuid4()),
        }
        data = await self._roomcast.execute(SEND, {"input": wanted}, repeatable=True)
        return Message.read(data["sendMessage"]["message"])

    async def events(self, after: str | None = None) -> AsyncGenerator[RoomEvent, None]:
        """Every event of the room after that cursor, once and in order, however often the connection is lost.

        `after`: the cursor of the last event that was handled, or the `stream_cursor` of a page; None for the events
        from now on. The iteration ends after StreamEnded, and raises RoomcastError if the room cannot be read.
        """
        stream = self._roomcast.sockets.open_stream(self.id, after)
        try:
            while (event := await stream.next()) is not None:
                yield event
        finally:
            stream.close()
