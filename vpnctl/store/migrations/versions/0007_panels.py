"""Where a node's panel is and how to get in there; and who is at work on a node that keeps no token."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """See the module."""
    op.add_column("node", sa.Column("panel_url", sa.Text))
    op.add_column("node", sa.Column("panel_login", sa.String(64)))
    op.add_column("node", sa.Column("panel_secret_sealed", sa.Text))
    op.add_column("node", sa.Column("panel_certificate", sa.String(64)))
    op.add_column("node", sa.Column("leased_until", sa.DateTime(timezone=True)))
    op.add_column("node", sa.Column("leased_by", sa.String(36)))
