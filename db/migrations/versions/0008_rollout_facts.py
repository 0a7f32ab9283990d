"""Figures by which groups of rollouts are found, and which groups a person has looked at.

Revision 0008, after 0007. Groups recorded before are summed up when somebody first asks for them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("rollout_group", sa.Column("num_leaves", sa.Integer(), nullable=True))
    op.create_table(
        "rollout_fact",
        sa.Column("group_id", KEY, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["rollout_group.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "name"),
    )
    op.create_index("ix_rollout_fact", "rollout_fact", ["run_id", "name", "value", "group_id"])
    op.create_table(
        "rollout_seen",
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("group_id", KEY, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.ForeignKeyConstraint(["group_id"], ["rollout_group.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "group_id"),
    )
    op.create_index("ix_rollout_seen_group_id", "rollout_seen", ["group_id"])


def downgrade() -> None:
    op.drop_table("rollout_seen")
    op.drop_table("rollout_fact")
    op.drop_column("rollout_group", "num_leaves")
