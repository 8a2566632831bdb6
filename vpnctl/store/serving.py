"""The tables of what serves others: keys of the API, what was asked with them, people's links, and workers."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store.columns import Utc, key, metadata, ref

link = sa.Table(
    "link",
    metadata,
    sa.Column("user_id", sa.String(36), sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("token_sealed", sa.Text, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("fetched_at", Utc),
    sa.UniqueConstraint("digest"),
)

api_key = sa.Table(
    "api_key",
    metadata,
    key(),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("expires_at", Utc),
    sa.Column("revoked_at", Utc),
    sa.Column("used_at", Utc),
    sa.UniqueConstraint("digest"),
)

api_run = sa.Table(
    "api_run",
    metadata,
    key(),
    ref("api_key_id", "api_key"),
    sa.Column("idempotency_key", sa.String(80)),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("node_ids", sa.JSON, nullable=False),
    sa.Column("shows", sa.JSON, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.UniqueConstraint("api_key_id", "idempotency_key", name="uq_api_run_idempotency_key"),
    sa.Index("ix_api_run_created_at", "created_at"),
)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("holder", sa.String(36), nullable=False),
    sa.Column("until", Utc, nullable=False),
)

worker = sa.Table(
    "worker",
    metadata,
    key(),
    sa.Column("host", sa.String(64), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("seen_at", Utc, nullable=False),
    sa.Column("stopped_at", Utc),
    sa.Column("settled", sa.Integer, nullable=False),
    sa.Column("connections", sa.Integer, nullable=False),
)
