"""The value of a field that a request leaves as it is, where None would clear the field."""

from enum import Enum


class Unchanged(Enum):
    UNCHANGED = "UNCHANGED"


UNCHANGED = Unchanged.UNCHANGED
