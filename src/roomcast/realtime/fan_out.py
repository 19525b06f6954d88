"""The loop that hands events to the live readers of a group: the hottest code of the process.

It runs for every delivery, so it does what the usual case needs and nothing else: one join and one write. One call for
each layer (reader, outbox, protocol) took three times as long. What is unusual goes to `GroupMember.send`, which keeps
the order and sends nothing twice.
"""

from collections.abc import Iterable

from roomcast.realtime.bundle import Bundle
from roomcast.realtime.ports import GroupMember


def write_to_all(bundle: Bundle, readers: Iterable[GroupMember]) -> None:
    """Send a bundle to these live readers."""
    all_pieces, first, last, shown = bundle.pieces, bundle.first, bundle.last, bundle.shown
    for reader in readers:
        outbox = reader.outbox
        write = outbox.write_frames
        if write is None or reader.sent >= first or not (pieces := all_pieces[reader.shape]):
            reader.send(bundle)
        elif write(reader.prefix.join(pieces)):
            reader.sent = last
            outbox.offered += shown
        else:
            reader.send(bundle)


def signal_to_all(payload: bytes, readers: Iterable[GroupMember]) -> None:
    """Send a payload that is in no log to these live readers."""
    for reader in readers:
        reader.send_signal(payload)
