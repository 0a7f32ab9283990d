"""Order of the queue, and what people write on runs: tags, a note, whose it is, hidden or not.

Revision 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("job", sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("run", sa.Column("tags", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("run", sa.Column("note", sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "run", sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("run", sa.Column("owner_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_run_shelf", "run", ["project_id", "hidden", "id"])


def downgrade() -> None:
    op.drop_index("ix_run_shelf", "run")
    op.drop_column("run", "owner_id")
    op.drop_column("run", "hidden")
    op.drop_column("run", "note")
    op.drop_column("run", "tags")
    op.drop_column("job", "priority")
