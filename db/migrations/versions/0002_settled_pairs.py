"""Pairs that are settled leave the queue; labels are found by pair and annotator.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    with op.batch_alter_table("pair") as pair:
        pair.add_column(
            sa.Column("settled", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        pair.drop_index("ix_pair_open")
        pair.create_index(
            "ix_pair_queue", ["project_id", "comparison_id", "settled", "priority", "id"]
        )
    with op.batch_alter_table("label") as label:
        label.drop_index("ix_label_pair_id")
        label.create_index("ix_label_pair", ["pair_id", "user_id"])


def downgrade() -> None:
    with op.batch_alter_table("label") as label:
        label.drop_index("ix_label_pair")
        label.create_index("ix_label_pair_id", ["pair_id"])
    with op.batch_alter_table("pair") as pair:
        pair.drop_index("ix_pair_queue")
        pair.drop_column("settled")
        pair.create_index("ix_pair_open", ["project_id", "comparison_id", "priority", "id"])
