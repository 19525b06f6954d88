"""An index of the pairs of characters in scripts that write without spaces, for search words of two characters.

Revision ID: 0012
Revises: 0011

Most messages contain no such pair, and cost nothing. On PostgreSQL the index is one over an expression, so it also
covers what the former release writes, and searches are only slower until it is complete. On SQLite the triggers call
`letter_pairs`, which `core.sqlite` gives to each connection that writes.
"""

import sqlalchemy as sa
from alembic import op

from roomcast.core.migration_steps import create_index, is_sqlite

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ADD = (
    "INSERT INTO message_search_pairs (rowid, pairs) SELECT {0}id, letter_pairs({0}text) "
    "{1} WHERE length(CAST({0}text AS BLOB)) > length({0}text)"
)
REMOVE = ADD.replace("(rowid", "(message_search_pairs, rowid").replace("SELECT", "SELECT 'delete',")

# One trigger for an update: the order of several would not be defined, and the old pairs have to be removed first.
SQLITE = (
    "CREATE VIRTUAL TABLE message_search_pairs USING fts5(pairs, content='', detail=none, tokenize='ascii')",
    ADD.format("", "FROM message_texts"),
    f"CREATE TRIGGER message_pairs_written AFTER INSERT ON message_texts BEGIN {ADD.format('new.', '')}; END",
    f"CREATE TRIGGER message_pairs_erased AFTER DELETE ON message_texts BEGIN {REMOVE.format('old.', '')}; END",
    "CREATE TRIGGER message_pairs_changed AFTER UPDATE OF text ON message_texts BEGIN "
    f"{REMOVE.format('old.', '')}; {ADD.format('new.', '')}; END",
)

# The same pairs as those of `letter_pairs`, from U+0E00 on. Collation "C" compares code points.
POSTGRES = """
    CREATE OR REPLACE FUNCTION message_search_pairs(body text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT array_agg(DISTINCT one || other)
        FROM unnest(string_to_array(body, NULL), (string_to_array(body, NULL))[2:]) AS pairs (one, other)
        WHERE other IS NOT NULL AND greatest(one COLLATE "C", other COLLATE "C") >= chr(3584)
    $$
"""


def upgrade() -> None:
    if is_sqlite():
        for statement in SQLITE:
            op.execute(statement)
        return
    op.execute(POSTGRES)
    create_index(
        "message_search_pairs",
        "message_texts",
        [sa.text("message_search_pairs(text)")],
        postgresql_using="gin",
        postgresql_where=sa.text("octet_length(text) > char_length(text)"),
    )


def downgrade() -> None:
    if not is_sqlite():
        op.execute("DROP INDEX message_search_pairs")
        op.execute("DROP FUNCTION message_search_pairs")
        return
    for trigger in ("written", "erased", "changed"):
        op.execute(f"DROP TRIGGER message_pairs_{trigger}")
    op.execute("DROP TABLE message_search_pairs")
