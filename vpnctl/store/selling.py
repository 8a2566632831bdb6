"""The tables of access by time: plans, granted periods, trials."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store.columns import Utc, key, metadata, ref

plan = sa.Table(
    "plan",
    metadata,
    key(),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("title", sa.String(64), nullable=False),
    sa.Column("titles", sa.JSON),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("devices", sa.Integer),
    sa.Column("traffic", sa.BigInteger),
    sa.Column("traffic_period", sa.String(8), nullable=False, server_default="month"),
    sa.Column("node_traffic", sa.BigInteger),
    sa.Column("locations", sa.JSON, nullable=False),
    sa.Column("protocol", sa.String(16)),
    sa.Column("prices", sa.JSON, nullable=False),
    sa.Column("trial", sa.Boolean, nullable=False),
    sa.Column("on_sale", sa.Boolean, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.UniqueConstraint("name"),
)

subscription = sa.Table(
    "subscription",
    metadata,
    key(),
    ref("user_id", "user"),
    sa.Column("plan", sa.String(32), nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("devices", sa.Integer),
    sa.Column("traffic", sa.BigInteger),
    sa.Column("traffic_period", sa.String(8), nullable=False, server_default="month"),
    sa.Column("node_traffic", sa.BigInteger),
    sa.Column("locations", sa.JSON, nullable=False),
    sa.Column("protocol", sa.String(16)),
    sa.Column("prices", sa.JSON, nullable=False),
    sa.Column("source", sa.String(8), nullable=False),
    sa.Column("payment", sa.String(64)),
    sa.Column("starts_at", Utc, nullable=False),
    sa.Column("ends_at", Utc, nullable=False),
    sa.Column("cancelled_at", Utc),
    sa.Column("converted_at", Utc),
    sa.Column("noted", sa.Integer, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("paid_amount", sa.BigInteger),
    sa.Column("paid_currency", sa.String(3)),
    # All that the access predicate looks at, so that it reads no rows: it is asked for every peer.
    sa.Index(
        "ix_subscription_access",
        "user_id",
        "ends_at",
        "starts_at",
        "cancelled_at",
        "traffic",
        "traffic_period",
        "node_traffic",
    ),
    sa.Index("ix_subscription_noted", "noted", "ends_at"),
)

trial = sa.Table(
    "trial",
    metadata,
    sa.Column("person", sa.String(64), primary_key=True),
    sa.Column("subscription_id", sa.String(36), nullable=False),
    sa.Column("started_at", Utc, nullable=False),
)
