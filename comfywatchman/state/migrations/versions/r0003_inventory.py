"""More of what reading a model file tells, and what hash caches of other programs claim."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("links", sa.Integer(), nullable=True),
        sa.Column("after_sha256", sa.Text(), nullable=True),
        sa.Column("autov1", sa.Text(), nullable=True),
        sa.Column("blake3", sa.Text(), nullable=True),
        sa.Column("sample", sa.Text(), nullable=True),
        sa.Column("verified_at", sa.Float(), nullable=True),
        sa.Column("rot", sa.Text(), nullable=True),
        sa.Column("racy", sa.Boolean(), nullable=False, server_default="0"),
    ]


def upgrade() -> None:
    # A table made anew: what ALTER TABLE leaves behind reads otherwise than what we create.
    with op.batch_alter_table("models", recreate="always") as models:
        for column in _columns():
            models.add_column(column)
    op.create_index(
        "models_to_measure",
        "models",
        ["size", "path"],
        unique=False,
        sqlite_where=sa.text("whole = 1 AND (sha256 IS NULL OR racy = 1)"),
    )
    op.create_table(
        "claims",
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("after_sha256", sa.Text(), nullable=True),
        sa.Column("autov3", sa.Text(), nullable=True),
        sa.Column("blake3", sa.Text(), nullable=True),
        sa.Column("told_by", sa.LargeBinary(), nullable=True),
        sa.Column("noted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("path", "source"),
    )
    op.create_index("claims_by_autov3", "claims", ["autov3"], unique=False)
    op.create_index("claims_by_sha256", "claims", ["sha256"], unique=False)


def downgrade() -> None:
    op.drop_index("claims_by_sha256", table_name="claims")
    op.drop_index("claims_by_autov3", table_name="claims")
    op.drop_table("claims")
    op.drop_index("models_to_measure", table_name="models")
    with op.batch_alter_table("models", recreate="always") as models:
        for column in reversed(_columns()):
            models.drop_column(column.name)
