"""Options that a device has otherwise than its endpoint, and which protocol new ones get: by plan and by node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """See the module."""
    op.add_column("peer", sa.Column("options", sa.JSON))
    for table in ("node", "plan", "subscription"):
        op.add_column(table, sa.Column("protocol", sa.String(16)))
