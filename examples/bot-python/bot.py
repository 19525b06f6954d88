"""A bot that answers each message of a room once, also if it is killed and started again.

Environment: ROOMCAST_URL, BOT_USERNAME, BOT_PASSWORD, BOT_ROOM (a name), BOT_STATE (a file; it holds a secret).
"""

import asyncio
import json
import os
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from roomcast_client import Message, MessageCreated, Room, Roomcast, RoomcastError, SignInRequired, StreamReady, Tokens


class State:
    """The position and the tokens, in one file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    @property
    def cursor(self) -> str | None:
        return self._values.get("cursor")

    @property
    def tokens(self) -> Tokens | None:
        stored = self._values.get("tokens")
        return Tokens(stored[0], datetime.fromisoformat(stored[1]), stored[2]) if stored else None

    def store_cursor(self, cursor: str) -> None:
        self._store(cursor=cursor)

    def store_tokens(self, tokens: Tokens) -> None:
        self._store(tokens=[tokens.access_token, tokens.expires_at.isoformat(), tokens.refresh_token])

    def _store(self, **values: Any) -> None:
        self._values |= values
        new = self._path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps(self._values))
        new.replace(self._path)


async def main() -> None:
    state = State(Path(os.environ["BOT_STATE"]))
    async with Roomcast(os.environ["ROOMCAST_URL"], tokens=state.tokens, on_tokens=state.store_tokens) as roomcast:
        try:
            me = await roomcast.viewer()
        except SignInRequired:
            me = await roomcast.login(os.environ["BOT_USERNAME"], os.environ["BOT_PASSWORD"])
        room = await roomcast.room_by_name(os.environ["BOT_ROOM"])
        async for event in room.events(after=state.cursor):
            if isinstance(event, MessageCreated) and event.message.author is not None:
                if event.message.author.id != me.id:
                    await answer(room, event.message)
            elif isinstance(event, StreamReady) and not event.is_recovered:
                print("Messages may be missing: the server's database was restored.")
            state.store_cursor(event.cursor)


async def answer(room: Room, question: Message) -> None:
    """The key is made from the question: a bot that is killed between the answer and its position answers once."""
    key = uuid.uuid5(uuid.NAMESPACE_OID, question.id)
    try:
        await room.send(f"You said: {question.body}", reply_to=question.id, client_message_id=key)
    except RoomcastError as error:
        if error.is_retryable:
            raise
        print(f"{question.id} was not answered: {error}")  # for example, the question was deleted meanwhile


if __name__ == "__main__":
    asyncio.run(main())
