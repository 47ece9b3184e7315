"""Every hash that a workflow states, and names as they are compared now."""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "promises",
        sa.Column("workflow", sa.LargeBinary(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digits", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workflow", "folder", "name", "digits"),
    )
    op.create_index("promises_by_digits", "promises", ["digits"], unique=False)
    op.create_index("models_by_after", "models", ["after_sha256"], unique=False)
    _compose_names()


def _compose_names() -> None:
    """Let names whose accents are composed otherwise be found as the same."""
    connection = op.get_bind()
    for table in ("models", "wants"):
        rows = connection.exec_driver_sql(f"SELECT rowid, base, stem FROM {table}").fetchall()  # noqa: S608 - our own names
        for rowid, base, stem in rows:
            if not (base.isascii() and stem.isascii()):
                connection.exec_driver_sql(
                    f"UPDATE {table} SET base = ?, stem = ? WHERE rowid = ?",  # noqa: S608 - our own names
                    (_composed(base), _composed(stem), rowid),
                )


def _composed(folded: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", folded).casefold())


def downgrade() -> None:
    op.drop_index("models_by_after", table_name="models")
    op.drop_index("promises_by_digits", table_name="promises")
    op.drop_table("promises")
