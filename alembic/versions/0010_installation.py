"""The id of the installation, and when a backup holds back deletions.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("store", sa.Column("installation_id", sa.Uuid(), nullable=True))
    op.add_column("store", sa.Column("deletions_held_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("store", sa.Column("moved_to", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("store", "moved_to")
    op.drop_column("store", "deletions_held_until")
    op.drop_column("store", "installation_id")
