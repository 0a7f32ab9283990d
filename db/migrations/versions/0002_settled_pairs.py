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
    no = sa.text("0" if op.get_bind().dialect.name == "sqlite" else "false")
    op.add_column("pair", sa.Column("settled", sa.Boolean(), server_default=no, nullable=False))
    op.drop_index("ix_pair_open", "pair")
    op.create_index(
        "ix_pair_queue", "pair", ["project_id", "comparison_id", "settled", "priority", "id"]
    )
    op.drop_index("ix_label_pair_id", "label")
    op.create_index("ix_label_pair", "label", ["pair_id", "user_id"])


def downgrade() -> None:
    with op.batch_alter_table("label") as label:
        label.drop_index("ix_label_pair")
        label.create_index("ix_label_pair_id", ["pair_id"])
    with op.batch_alter_table("pair") as pair:
        pair.drop_index("ix_pair_queue")
        pair.drop_column("settled")
        pair.create_index("ix_pair_open", ["project_id", "comparison_id", "priority", "id"])
