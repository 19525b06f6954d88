"""Which rooms show who has read how far. Pure functions."""

from roomcast.rooms.models import Room

MAX_MEMBERS_FOR_READ_MARKERS = 100
"""Larger rooms send no ReadMarkerMoved: it would be their most frequent event."""


def is_read_marker_announced(room: Room) -> bool:
    return room.member_count <= MAX_MEMBERS_FOR_READ_MARKERS
