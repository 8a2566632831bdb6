"""Quotas of other periods than a month and of each node, and what follows when a node's own traffic is used up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """See the module."""
    for table in ("plan", "subscription"):
        op.add_column(table, sa.Column("traffic_period", sa.String(8), nullable=False, server_default="month"))
        op.add_column(table, sa.Column("node_traffic", sa.BigInteger))
    op.add_column("node", sa.Column("traffic_action", sa.String(5), nullable=False, server_default="warn"))
    op.drop_index("ix_subscription_access", "subscription")
    looked_at = ["user_id", "ends_at", "starts_at", "cancelled_at", "traffic", "traffic_period", "node_traffic"]
    op.create_index("ix_subscription_access", "subscription", looked_at)
