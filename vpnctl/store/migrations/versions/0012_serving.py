"""Keys of the API and what was asked with them, people's links, leases, and workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """See the module."""
    utc = sa.DateTime(timezone=True)
    op.create_table(
        "link",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("token_sealed", sa.Text, nullable=False),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("fetched_at", utc),
        sa.PrimaryKeyConstraint("user_id", name="pk_link"),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_link_user_id"),
        sa.UniqueConstraint("digest", name="uq_link_digest"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("expires_at", utc),
        sa.Column("revoked_at", utc),
        sa.Column("used_at", utc),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("digest", name="uq_api_key_digest"),
    )
    alive = sa.text("revoked_at IS NULL")
    op.create_index(
        "uq_api_key_name_alive", "api_key", ["name"], unique=True, sqlite_where=alive, postgresql_where=alive
    )
    op.create_table(
        "api_run",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("api_key_id", sa.String(36), nullable=False),
        sa.Column("idempotency_key", sa.String(80)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("node_ids", sa.JSON, nullable=False),
        sa.Column("shows", sa.JSON, nullable=False),
        sa.Column("created_at", utc, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_run"),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], name="fk_api_run_api_key_id"),
        sa.UniqueConstraint("api_key_id", "idempotency_key", name="uq_api_run_idempotency_key"),
    )
    op.create_index("ix_api_run_created_at", "api_run", ["created_at"])
    op.create_table(
        "lease",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("until", utc, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", utc, nullable=False),
        sa.Column("seen_at", utc, nullable=False),
        sa.Column("stopped_at", utc),
        sa.Column("settled", sa.Integer, nullable=False),
        sa.Column("connections", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
