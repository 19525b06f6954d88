"""The room of each reaction, former body and searched text, so that these tables can be partitioned.

Revision ID: 0011
Revises: 0010

Rows that exist keep null; `roomcast migrate --partitions` fills them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = "reactions", "former_bodies", "message_texts"


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("room_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "room_id")
