"""Times of removals, a key for look-alike usernames, and replaced refresh tokens.

Revision ID: 0005
Revises: 0004
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from roomcast.core.migration_steps import add_column, create_index, is_sqlite, own_transactions
from roomcast.core.text_folding import fold

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
_USERS = sa.table("users", sa.column("id", sa.Uuid()), sa.column("username"), sa.column("username_skeleton"))
_FORMER = sa.table("former_members", sa.column("removed", sa.Boolean()), sa.column("removed_at", MOMENT))
UNIQUE = "uq_users_username_skeleton"
BATCH = 1000


def upgrade() -> None:
    add_column("former_members", sa.Column("removed_at", MOMENT, nullable=True))
    add_column("refresh_tokens", sa.Column("replaced_at", MOMENT, nullable=True))
    add_column("users", sa.Column("username_skeleton", sa.String(32), nullable=True))
    with own_transactions():
        # The time of these removals is unknown. With the time of the migration, no existing invite readmits the members.
        unknown = _FORMER.c.removed.is_(True) & _FORMER.c.removed_at.is_(None)
        op.execute(_FORMER.update().where(unknown).values(removed_at=datetime.now(UTC)))
        _fill_skeletons()
    if is_sqlite():
        with op.batch_alter_table("users") as users:
            users.create_unique_constraint(UNIQUE, ["username_skeleton"])
        return
    create_index(UNIQUE, "users", ["username_skeleton"], unique=True)
    op.execute(f"ALTER TABLE users ADD CONSTRAINT {UNIQUE} UNIQUE USING INDEX {UNIQUE}")


def downgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.drop_constraint(UNIQUE, type_="unique")
        users.drop_column("username_skeleton")
    op.drop_column("refresh_tokens", "replaced_at")
    op.drop_column("former_members", "removed_at")


def _fill_skeletons() -> None:
    """The oldest account of those that look alike has the skeleton; ids are ordered by time."""
    connection = op.get_bind()
    taken: set[str] = set()
    for rows in connection.execute(sa.select(_USERS.c.id, _USERS.c.username).order_by(_USERS.c.id)).partitions(BATCH):
        chosen = []
        for id_, username in rows:
            skeleton = fold(username)
            if skeleton not in taken:
                taken.add(skeleton)
                chosen.append({"user": id_, "skeleton": skeleton})
        if chosen:
            update = _USERS.update().where(_USERS.c.id == sa.bindparam("user"))
            connection.execute(update.values(username_skeleton=sa.bindparam("skeleton")), chosen)
