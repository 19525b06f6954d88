"""The history of a test: what clients sent and received during a fault, and the rules that it must satisfy.

A send without a response is *unknown*: it may or may not be stored.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Result(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"


@dataclass
class Send:
    """One message that a client tried to send. Bodies are unique, so a body identifies its send."""

    body: str
    key: str | None
    result: Result = Result.UNKNOWN
    begun_at: float = field(default_factory=time.monotonic)
    """When the client tried for the first time."""
    tries: int = 0


Stored = tuple[int, str]
"""Sequence number and body of a message."""


@dataclass
class Deliveries:
    """The messages that one client received from a room. A new segment starts where the server reported that
    the client's position is lost."""

    name: str
    segments: list[list[Stored]] = field(default_factory=lambda: [[]])
    shown_at: dict[str, float] = field(default_factory=dict)
    """When each body was received for the first time."""

    def show(self, seq: int, body: str) -> None:
        self.segments[-1].append((seq, body))
        self.shown_at.setdefault(body, time.monotonic())

    def position_lost(self) -> None:
        self.segments.append([])


@dataclass
class History:
    """`commits_lost`: the newest commits were lost with a database, so acknowledged sends may be gone."""

    sends: list[Send] = field(default_factory=list)
    deliveries: list[Deliveries] = field(default_factory=list)
    commits_lost: bool = False

    @property
    def acknowledged(self) -> set[str]:
        return {send.body for send in self.sends if send.result is Result.ACKNOWLEDGED}

    def delays(self, since: float) -> list[float]:
        """The seconds from the first try of each send to its arrival at each client, for sends begun after `since`."""
        begun = {send.body: send.begun_at for send in self.sends if send.begun_at >= since}
        shown = (item for deliveries in self.deliveries for item in deliveries.shown_at.items())
        return [at - begun[body] for body, at in shown if body in begun]


def violations(history: History, log: Sequence[Stored]) -> list[str]:
    """The rules that the history of a room violates, given its final log."""
    found = [*_send_violations(history, log)]
    for deliveries in history.deliveries:
        found += _delivery_violations(deliveries, log, history.commits_lost)
    return found


def _send_violations(history: History, log: Sequence[Stored]) -> list[str]:
    stored = Counter(body for _, body in log)
    twice = sorted(body for body, count in stored.items() if count > 1)
    lost = sorted(history.acknowledged - set(stored))
    never_sent = sorted(set(stored) - {send.body for send in history.sends})
    found = [f"stored twice: {twice}"] if twice else []
    found += [f"acknowledged and not stored: {lost}"] if lost and not history.commits_lost else []
    return found + ([f"stored and never sent: {never_sent}"] if never_sent else [])


def _delivery_violations(deliveries: Deliveries, log: Sequence[Stored], commits_lost: bool) -> list[str]:
    *ended, last = deliveries.segments
    found = []
    if ended and not commits_lost:
        found.append(f"{deliveries.name} got the end reason of a lost position, and nothing was lost")
    if list(last) != part_of(log, last):
        found.append(f"{deliveries.name} was shown {brief(last)}, the log has {brief(part_of(log, last))}")
    for segment in ended:
        seqs = [seq for seq, _ in segment]
        if seqs != list(range(seqs[0], seqs[0] + len(seqs)) if seqs else []):
            found.append(f"{deliveries.name} was shown, before its position was lost, {brief(segment)}")
    if log and last[-1:] != log[-1:]:
        found.append(f"{deliveries.name} received nothing after {last[-1:]}, the log ends with {log[-1]}")
    return found


def part_of(log: Sequence[Stored], segment: Sequence[Stored]) -> list[Stored]:
    """The log between a segment's first and last sequence number."""
    return [entry for entry in log if segment[0][0] <= entry[0] <= segment[-1][0]] if segment else []


def brief(entries: Sequence[Stored]) -> str:
    """The sequence numbers as ranges, e.g. 1–5, 8."""
    runs: list[list[int]] = []
    for seq, _ in entries:
        if runs and seq == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], seq]
        else:
            runs.append([seq])
    return ", ".join("–".join(str(seq) for seq in run) for run in runs) or "nothing"
