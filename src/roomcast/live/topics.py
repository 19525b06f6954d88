"""Names of the topics that travel over the bus."""

from uuid import UUID

PRESENCE_TOPIC = "presence"
"""On this topic the processes tell each other which users are connected to them."""


def room_topic(room_id: UUID) -> str:
    """The events of one room's log, and the room's signals."""
    return f"room:{room_id}"


def is_room_topic(topic: str) -> bool:
    return topic.startswith("room:")


def room_id_of(topic: str) -> UUID:
    """The room of a `room_topic`. Raises ValueError for any other topic."""
    return UUID(topic.removeprefix("room:"))


def user_topic(user_id: UUID) -> str:
    """What concerns one user only, for all their connections. This topic has no log."""
    return f"user:{user_id}"


def typing_topic(room_id: UUID) -> str:
    """Who starts and stops typing in one room. This topic has no log."""
    return f"typing:{room_id}"
