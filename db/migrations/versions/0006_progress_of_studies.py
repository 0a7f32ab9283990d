"""How far studies are, counted from an index alone.

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_index(
        "ix_pair_progress",
        "pair",
        ["study_id", "settled", "overlap", "verdicts"],
        sqlite_where=sa.text("fact IS NULL"),
        postgresql_where=sa.text("fact IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_pair_progress", table_name="pair")
