"""What there is to know of a workflow besides what it lacks: hints, and secrets in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflows", sa.Column("hints", sa.LargeBinary(), nullable=True))
    op.add_column("workflows", sa.Column("secrets", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("workflows", "secrets")
    op.drop_column("workflows", "hints")
