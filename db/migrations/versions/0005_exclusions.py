"""Exclusions: whose answers of a study do not count.

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: None = None
depends_on: None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "exclusion",
        sa.Column("study_id", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("made_by", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"]),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("study_id", "user_id"),
    )


def downgrade() -> None:
    op.drop_table("exclusion")
