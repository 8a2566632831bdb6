"""What a plan is called in each language, and what the bot asked somebody to write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """See the module."""
    op.add_column("plan", sa.Column("titles", sa.JSON))
    op.create_table(
        "prompt",
        sa.Column("telegram_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("args", sa.JSON, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("telegram_id", name="pk_prompt"),
    )
