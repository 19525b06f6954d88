"""Timeouts and heartbeat of a WebSocket connection."""

import random
import time
from dataclasses import dataclass

from roomcast.api.connection_limits import HEARTBEAT_MS
from roomcast.core.actor import Actor
from roomcast.core.clock import now

MAX_UNANSWERED_PINGS = 2


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds.

    `tick`: how often a connection checks its timeouts. `heartbeat`: interval of the server's pings. `init`: until
    `connection_init` has to arrive. `grace`: how long everything still works after the end of an access token;
    `refreshSession` extends it, or the connection closes with 4403. `subscribe`: how long a subscription waits for a
    database that does not answer. `stall`: how long a client may read nothing. `shutdown`: how long a server that stops
    waits for running operations. `close`: how long the close frame may wait for the client. `closing`: over how long a
    server that stops spreads the closes of its connections. `max_age`: after about how long a connection is closed with
    1012, so that its client connects to another process; None for never.
    """

    tick: float = 1.0
    heartbeat: float = HEARTBEAT_MS / 1000
    init: float = 10.0
    grace: float = 30.0
    subscribe: float = 30.0
    stall: float = 30.0
    shutdown: float = 5.0
    close: float = 3.0
    closing: float = 3.0
    max_age: float | None = None


class Heartbeat:
    """When a connection was opened, and how many pings its client has not answered since its last message."""

    __slots__ = ("_opened_at", "_unanswered_pings")

    def __init__(self) -> None:
        self._opened_at = time.monotonic()
        self._unanswered_pings = 0

    def on_message(self) -> None:
        """Every message counts as an answer."""
        self._unanswered_pings = 0

    def on_ping_sent(self) -> None:
        self._unanswered_pings += 1

    @property
    def is_missed(self) -> bool:
        return self._unanswered_pings >= MAX_UNANSWERED_PINGS

    @property
    def seconds_open(self) -> float:
        return time.monotonic() - self._opened_at

    def is_older_than(self, seconds: float) -> bool:
        return self.seconds_open > seconds


def random_age(timeouts: Timeouts) -> float | None:
    """The age at which one connection is closed: up to a tenth less or more than `max_age`, so that connections that
    were opened at one moment are not closed at one moment."""
    return None if timeouts.max_age is None else timeouts.max_age * random.uniform(0.9, 1.1)  # noqa: S311


def is_token_expired(actor: Actor, grace: float) -> bool:
    """Whether the actor's access token ended more than `grace` seconds ago."""
    return (now() - actor.token_expires_at).total_seconds() > grace
