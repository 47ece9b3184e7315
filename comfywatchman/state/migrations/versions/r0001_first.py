"""The first tables, as they were then: later changes to the schema are migrations of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "choices",
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("candidates", sa.LargeBinary(), nullable=False),
        sa.Column("trouble", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("folder", "name"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("validator", sa.Text(), nullable=True),
        sa.Column("trouble", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_key", "jobs", ["kind", "key"], unique=True)
    op.create_index("jobs_by_lane", "jobs", ["lane"], unique=False)
    op.create_index("jobs_by_state", "jobs", ["state", "kind", "not_before"], unique=False)
    op.create_table(
        "models",
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("directory", sa.LargeBinary(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("measured_at_ns", sa.BigInteger(), nullable=True),
        sa.Column("noted_at", sa.Float(), nullable=False),
        sa.Column("trouble", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("path"),
    )
    op.create_index("models_by_base", "models", ["base"], unique=False)
    op.create_index("models_by_directory", "models", ["directory"], unique=False)
    op.create_index("models_by_inode", "models", ["inode"], unique=False)
    op.create_index("models_by_sha256", "models", ["sha256"], unique=False)
    op.create_index("models_by_stem", "models", ["stem"], unique=False)
    op.create_table(
        "placements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("placements_by_sha256", "placements", ["sha256"], unique=False)
    op.create_table(
        "timers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_success", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "wants",
        sa.Column("workflow", sa.LargeBinary(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("stem", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("declared", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workflow", "folder", "name"),
    )
    op.create_index("wants_by_base", "wants", ["base"], unique=False)
    op.create_index("wants_by_name", "wants", ["folder", "name"], unique=False)
    op.create_index("wants_by_stem", "wants", ["stem"], unique=False)
    op.create_table(
        "workflows",
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("directory", sa.LargeBinary(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=True),
        sa.Column("inode", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("analyzed_at", sa.Float(), nullable=False),
        sa.Column("reference_count", sa.Integer(), nullable=False),
        sa.Column("lacking", sa.LargeBinary(), nullable=False),
        sa.Column("trouble", sa.LargeBinary(), nullable=True),
        sa.Column("analysis", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("path"),
    )
    op.create_index("workflows_by_directory", "workflows", ["directory"], unique=False)


def downgrade() -> None:
    op.drop_index("workflows_by_directory", table_name="workflows")
    op.drop_table("workflows")
    op.drop_index("wants_by_stem", table_name="wants")
    op.drop_index("wants_by_name", table_name="wants")
    op.drop_index("wants_by_base", table_name="wants")
    op.drop_table("wants")
    op.drop_table("timers")
    op.drop_index("placements_by_sha256", table_name="placements")
    op.drop_table("placements")
    op.drop_index("models_by_stem", table_name="models")
    op.drop_index("models_by_sha256", table_name="models")
    op.drop_index("models_by_inode", table_name="models")
    op.drop_index("models_by_directory", table_name="models")
    op.drop_index("models_by_base", table_name="models")
    op.drop_table("models")
    op.drop_index("jobs_by_state", table_name="jobs")
    op.drop_index("jobs_by_lane", table_name="jobs")
    op.drop_index("jobs_by_key", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("choices")
