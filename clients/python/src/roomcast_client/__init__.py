"""The Python client of roomcast, a chat server whose API is GraphQL. Start with `Roomcast`."""

from roomcast_client.client import Roomcast
from roomcast_client.errors import RoomcastError, SignInRequired
from roomcast_client.events import (
    MemberChanged,
    MessageCreated,
    MessageDeleted,
    MessageUpdated,
    ReactionChanged,
    RoomChanged,
    RoomEvent,
    StreamEnded,
    StreamReady,
)
from roomcast_client.models import Message, MessagePage, User
from roomcast_client.room import Room
from roomcast_client.session import Tokens

__all__ = [
    "MemberChanged",
    "Message",
    "MessageCreated",
    "MessageDeleted",
    "MessagePage",
    "MessageUpdated",
    "ReactionChanged",
    "Room",
    "RoomChanged",
    "RoomEvent",
    "Roomcast",
    "RoomcastError",
    "SignInRequired",
    "StreamEnded",
    "StreamReady",
    "Tokens",
    "User",
]
