"""Announced sizes of files, and an index for the storage of a user.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from roomcast.core.migration_steps import add_column, create_index

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("files", sa.Column("announced_size", sa.BigInteger(), nullable=True))
    create_index("ix_files_owner", "files", ["owner_id", "byte_size"])


def downgrade() -> None:
    op.drop_index("ix_files_owner", "files")
    op.drop_column("files", "announced_size")
