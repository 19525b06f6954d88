"""When reading is told. Pure."""

from roomcast.rooms.models import Room

MAX_TOLD_MEMBERS = 100
"""In larger rooms nobody is told who has read how far: it would be said more often than anything else."""


def is_announced(room: Room) -> bool:
    return room.member_count <= MAX_TOLD_MEMBERS
