"""Studies: what is asked, how a pair came to be handed out, answers beyond the choice.

Revision 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
EMPTY = sa.text("'{}'")


def upgrade() -> None:
    op.create_table(
        "study",
        sa.Column("id", KEY, autoincrement=True, nullable=False),
        sa.Column("project_id", KEY, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_study_project_id", "study", ["project_id"])
    op.add_column("sample", sa.Column("text", sa.Text(), nullable=True))
    with op.batch_alter_table("pair") as pair:
        pair.add_column(sa.Column("study_id", KEY, nullable=True))
        pair.add_column(
            sa.Column("verdicts", sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
        pair.add_column(
            sa.Column("utility", sa.Float(), server_default=sa.text("0"), nullable=False)
        )
        pair.add_column(
            sa.Column("shuffle", sa.Float(), server_default=sa.text("0"), nullable=False)
        )
        pair.add_column(sa.Column("fact", sa.JSON(), nullable=True))
        pair.add_column(sa.Column("detail", sa.JSON(), server_default=EMPTY, nullable=False))
        pair.create_foreign_key("fk_pair_study", "study", ["study_id"], ["id"])
        pair.create_index("ix_pair_study", ["study_id", "settled", "shuffle"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    draw = "(random() & 1073741823) / 1073741824.0" if is_sqlite else "random()"
    op.execute(f"update pair set shuffle = {draw}")
    op.execute(
        "update pair set verdicts = (select count(*) from label join \"user\" on "
        "\"user\".id = label.user_id where label.pair_id = pair.id and \"user\".kind = 'person' "
        "and label.choice not in ('skip', 'retract') and not exists "
        "(select 1 from label as taken where taken.retracts = label.id))"
    )
    for table in ("lease", "label"):
        op.add_column(
            table, sa.Column("chooser", sa.String(), server_default="", nullable=False)
        )
        op.add_column(
            table, sa.Column("propensity", sa.Float(), server_default=sa.text("1"), nullable=False)
        )
    op.add_column("label", sa.Column("answers", sa.JSON(), server_default=EMPTY, nullable=False))


def downgrade() -> None:
    for table, columns in (
        ("label", ("answers", "chooser", "propensity")),
        ("lease", ("chooser", "propensity")),
        ("sample", ("text",)),
    ):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
    with op.batch_alter_table("pair") as pair:
        pair.drop_index("ix_pair_study")
        pair.drop_constraint("fk_pair_study", type_="foreignkey")
        for column in ("study_id", "verdicts", "utility", "shuffle", "fact", "detail"):
            pair.drop_column(column)
    op.drop_table("study")
