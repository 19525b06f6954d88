"""Files attached to messages. A file is attached to one message only, by its own uploader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from roomcast.core.actor import Actor
from roomcast.core.errors import Conflict, ValidationFailed
from roomcast.uploads.actions import check_usable
from roomcast.uploads.models import File

MAX_ATTACHMENTS = 10
"""Per message."""


@dataclass(frozen=True, slots=True)
class AttachmentClaims:
    """The files that a group of sends refers to, locked. `claimed`: by file id, the message that gets it and its
    position there."""

    files: Mapping[UUID, File]
    claimed: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)

    def check(self, actor: Actor, ids: Sequence[UUID | None]) -> list[UUID]:
        """The ids of these files, if the actor may attach all of them now. Raises ValidationFailed, NotFound,
        AttachmentNotReady, Conflict."""
        path = ("input", "attachmentIds")
        known = [id_ for id_ in ids if id_ is not None]
        if len(ids) > MAX_ATTACHMENTS or len(set(known)) < len(known):
            raise ValidationFailed(
                f"A message has at most {MAX_ATTACHMENTS} attachments, and no file twice.", path=path
            )
        found = [check_usable(self.files.get(id_) if id_ else None, actor, "attachmentIds").id for id_ in ids]
        if any(id_ in self.claimed for id_ in found):
            raise Conflict(
                "This file is already attached to a message. Upload it again to attach it to another one.", path=path
            )
        return found

    def claim(self, ids: Sequence[UUID], message_id: UUID) -> None:
        self.claimed.update({id_: (message_id, position) for position, id_ in enumerate(ids)})
