"""Which endpoint follows another one on its node, with a new key, while people are moved over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """See the module."""
    op.add_column("endpoint", sa.Column("successor_id", sa.String(36)))
