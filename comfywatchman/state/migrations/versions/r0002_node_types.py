"""Which node types there are, which pack brings them, and which workflow uses them."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knowledge",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.Column("noted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "map_packs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("cnr_id", sa.Text(), nullable=True),
        sa.Column("repository", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("pattern", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("map_packs_by_cnr_id", "map_packs", ["cnr_id"], unique=False)
    op.create_index("map_packs_by_repository", "map_packs", ["repository"], unique=False)
    op.create_table(
        "map_types",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("pack", sa.Integer(), nullable=False),
        sa.Column("first", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("type", "pack"),
    )
    op.create_table(
        "pack_types",
        sa.Column("pack", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pack", "type", "kind"),
    )
    op.create_index("pack_types_by_type", "pack_types", ["type"], unique=False)
    op.create_table(
        "packs",
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cnr_id", sa.Text(), nullable=True),
        sa.Column("repository", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.Column("trouble", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("path"),
    )
    op.create_table(
        "served_types",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type"),
    )
    op.create_table(
        "node_uses",
        sa.Column("workflow", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("cnr_id", sa.Text(), nullable=True),
        sa.Column("aux_id", sa.Text(), nullable=True),
        sa.Column("core", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("workflow", "type"),
    )
    op.create_index("node_uses_by_type", "node_uses", ["type"], unique=False)
    _take_over()


def _take_over() -> None:
    """Note the node types of the workflows that were analyzed before there was this table."""
    uses = sa.table(
        "node_uses", *(sa.column(n) for n in ("workflow", "type", "cnr_id", "aux_id", "core")),
        sa.column("active"),
    )  # fmt: skip
    connection = op.get_bind()
    for path, analysis in connection.execute(sa.text("SELECT path, analysis FROM workflows")):
        found = json.loads(analysis).get("content", {}).get("node_types", [])
        rows = {
            use["type"]: {
                "workflow": path,
                "type": use["type"],
                "cnr_id": use.get("cnr_id"),
                "aux_id": use.get("aux_id"),
                "core": bool(use.get("core")),
                "active": True,
            }
            for use in found
        }
        if rows:
            connection.execute(sa.insert(uses), list(rows.values()))


def downgrade() -> None:
    op.drop_index("node_uses_by_type", table_name="node_uses")
    op.drop_table("node_uses")
    op.drop_table("served_types")
    op.drop_table("packs")
    op.drop_index("pack_types_by_type", table_name="pack_types")
    op.drop_table("pack_types")
    op.drop_table("map_types")
    op.drop_index("map_packs_by_repository", table_name="map_packs")
    op.drop_index("map_packs_by_cnr_id", table_name="map_packs")
    op.drop_table("map_packs")
    op.drop_table("knowledge")
