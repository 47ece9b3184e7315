"""What transfers are remembered by: their turn, their folder, what they were fetched under."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Tables made anew: what ALTER TABLE leaves behind reads otherwise than what we create.
    with op.batch_alter_table("jobs", recreate="always") as jobs:
        jobs.drop_column("validator")
        jobs.add_column(sa.Column("mark", sa.LargeBinary(), nullable=True))
        jobs.add_column(sa.Column("folder", sa.Text(), nullable=True))
        jobs.add_column(sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("mismatches", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("placements", recreate="always") as placements:
        placements.add_column(
            sa.Column("promised", sa.Boolean(), nullable=False, server_default="1")
        )
    op.create_index(
        "placements_unproven",
        "placements",
        ["path"],
        unique=False,
        sqlite_where=sa.text("promised = 0"),
    )


def downgrade() -> None:
    op.drop_index("placements_unproven", table_name="placements")
    with op.batch_alter_table("placements", recreate="always") as placements:
        placements.drop_column("promised")
    with op.batch_alter_table("jobs", recreate="always") as jobs:
        jobs.drop_column("mismatches")
        jobs.drop_column("turn")
        jobs.drop_column("folder")
        jobs.drop_column("mark")
        jobs.add_column(sa.Column("validator", sa.Text(), nullable=True))
