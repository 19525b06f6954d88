"""The search index of messages, which is different on each database.

Revision ID: 0002
Revises: 0001
"""

from alembic import op
from sqlalchemy.exc import DBAPIError

from roomcast.core.migration_steps import create_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NO_TRIGRAMS = (
    "Search needs the PostgreSQL extension pg_trgm. This user may not create it, or this server does not have it. Ask "
    "an administrator of the database to run: CREATE EXTENSION pg_trgm;"
)

# Both indexes look up three letters in a row: whole words, parts of words, and scripts without spaces between words.
SQLITE = (
    "CREATE VIRTUAL TABLE message_search USING fts5(text, content='message_texts', content_rowid='id', "
    "tokenize='trigram')",
    "CREATE TRIGGER message_texts_written AFTER INSERT ON message_texts BEGIN "
    "INSERT INTO message_search (rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER message_texts_erased AFTER DELETE ON message_texts BEGIN "
    "INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER message_texts_changed AFTER UPDATE OF text ON message_texts BEGIN "
    "INSERT INTO message_search (message_search, rowid, text) VALUES ('delete', old.id, old.text); "
    "INSERT INTO message_search (rowid, text) VALUES (new.id, new.text); END",
)


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        for statement in SQLITE:
            op.execute(statement)
        return
    try:
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError as error:
        raise RuntimeError(NO_TRIGRAMS) from error
    options = {"postgresql_using": "gin", "postgresql_ops": {"text": "gin_trgm_ops"}}
    create_index("message_search", "message_texts", ["text"], **options)


def downgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP INDEX message_search")
        return
    for trigger in ("written", "erased", "changed"):
        op.execute(f"DROP TRIGGER message_texts_{trigger}")
    op.execute("DROP TABLE message_search")
