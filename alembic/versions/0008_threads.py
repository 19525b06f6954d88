"""What users follow and have read of threads.

Revision ID: 0008
Revises: 0007

In existing threads, the author of the first message, everybody who replied and everybody mentioned follow. All replies
count as read.
"""

import sqlalchemy as sa
from alembic import op

from roomcast.core.migration_steps import add_column, create_index, execute_for_rooms

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SEQ = {"server_default": sa.text("0"), "autoincrement": False, "nullable": False}
IN_THREAD = sa.text("thread_root_id IS NOT NULL")
MENTIONED = sa.text("last_mention_seq > last_read_seq")

_FOLLOW = """
    WITH threads AS (
        SELECT thread_root_id AS root_id, max(seq) AS newest FROM messages
        WHERE thread_root_id IS NOT NULL AND room_id IN :rooms GROUP BY thread_root_id
    ), people AS (
        SELECT thread_root_id AS root_id, author_id AS user_id FROM messages
        WHERE thread_root_id IS NOT NULL AND room_id IN :rooms
        UNION
        SELECT messages.id, messages.author_id FROM threads JOIN messages ON messages.id = threads.root_id
        UNION
        SELECT coalesce(messages.thread_root_id, messages.id), mentions.user_id
        FROM mentions JOIN messages ON messages.id = mentions.message_id WHERE messages.room_id IN :rooms
    )
    INSERT INTO thread_states (root_id, user_id, room_id, is_following, follows_after_seq, last_read_seq)
    SELECT threads.root_id, people.user_id, roots.room_id, true, threads.newest, threads.newest
    FROM people JOIN threads ON threads.root_id = people.root_id JOIN messages AS roots ON roots.id = people.root_id
    WHERE people.user_id IS NOT NULL
    ON CONFLICT DO NOTHING
"""
_READ_ALL = """
    UPDATE memberships SET threads_read_seq =
        coalesce((SELECT last_seq FROM room_heads WHERE room_heads.room_id = memberships.room_id), 0)
    WHERE room_id IN :rooms AND threads_read_seq = 0
"""


def upgrade() -> None:
    # Memberships first: every transaction reads them before it writes messages, so none waits in a circle with this.
    add_column("memberships", sa.Column("threads_read_seq", sa.BigInteger(), **SEQ))
    add_column("memberships", sa.Column("thread_changes", sa.BigInteger(), **SEQ))
    add_column("mentions", sa.Column("thread_root_id", sa.Uuid(), nullable=True))
    op.create_table(
        "thread_states",
        sa.Column("root_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("is_following", sa.Boolean(), nullable=True),
        sa.Column("follows_after_seq", sa.BigInteger(), **SEQ),
        sa.Column("last_read_seq", sa.BigInteger(), **SEQ),
        sa.Column("last_mention_seq", sa.BigInteger(), **SEQ),
        sa.ForeignKeyConstraint(
            ["root_id"], ["messages.id"], name=op.f("fk_thread_states_root_id_messages"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_thread_states_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("root_id", "user_id", name=op.f("pk_thread_states")),
        if_not_exists=True,
    )
    execute_for_rooms(_FOLLOW, _READ_ALL)
    _create_indexes()


def _create_indexes() -> None:
    create_index("ix_thread_states_user", "thread_states", ["user_id", "room_id"])
    create_index(
        "ix_thread_states_mentioned",
        "thread_states",
        ["user_id", "room_id"],
        postgresql_where=MENTIONED,
        sqlite_where=MENTIONED,
    )
    create_index(
        "ix_mentions_thread",
        "mentions",
        ["thread_root_id", "user_id", "seq"],
        postgresql_where=IN_THREAD,
        sqlite_where=IN_THREAD,
    )
    create_index(
        "ix_messages_to_all_in_threads",
        "messages",
        ["room_id", "seq"],
        postgresql_where=sa.text("mentions_room AND thread_root_id IS NOT NULL"),
        sqlite_where=sa.text("mentions_room = 1 AND thread_root_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_messages_to_all_in_threads", "messages")
    op.drop_index("ix_mentions_thread", "mentions")
    op.drop_column("mentions", "thread_root_id")
    op.drop_table("thread_states")
    op.drop_column("memberships", "thread_changes")
    op.drop_column("memberships", "threads_read_seq")
