"""Marks by which a sweep sees that a directory is as it was, without asking for its rows.

Whoever makes the table ``models`` anew makes its triggers anew, too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TRIGGERS = (
    """CREATE TRIGGER sweep_marks_of_gone AFTER DELETE ON models BEGIN
DELETE FROM sweep_marks WHERE directory = OLD.directory; END""",
    """CREATE TRIGGER sweep_marks_of_changed
AFTER UPDATE OF path, directory, device, inode, size, mtime_ns, ctime_ns ON models
WHEN NEW.path IS NOT OLD.path OR NEW.directory IS NOT OLD.directory
OR NEW.device IS NOT OLD.device OR NEW.inode IS NOT OLD.inode OR NEW.size IS NOT OLD.size
OR NEW.mtime_ns IS NOT OLD.mtime_ns OR NEW.ctime_ns IS NOT OLD.ctime_ns BEGIN
DELETE FROM sweep_marks WHERE directory IN (OLD.directory, NEW.directory); END""",
)


def upgrade() -> None:
    op.create_table(
        "sweep_marks",
        sa.Column("directory", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("beside", sa.LargeBinary(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("last_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("directory"),
    )
    for trigger in _TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    for name in ("gone", "changed"):
        op.execute(f"DROP TRIGGER sweep_marks_of_{name}")
    op.drop_table("sweep_marks")
