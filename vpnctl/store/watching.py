"""The tables of what is measured and told: the traffic ledger, health, measurements, the outbox."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store.columns import Utc, key, metadata, ref

counter = sa.Table(
    "counter",
    metadata,
    sa.Column("peer_id", sa.String(36), sa.ForeignKey("peer.id"), primary_key=True),
    sa.Column("boot_id", sa.String(40), nullable=False),
    sa.Column("link", sa.Integer, nullable=False),
    sa.Column("rx", sa.BigInteger, nullable=False),
    sa.Column("tx", sa.BigInteger, nullable=False),
    sa.Column("handshake", sa.BigInteger, nullable=False),
    sa.Column("read_at", Utc, nullable=False),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("peer_id", sa.String(36), sa.ForeignKey("peer.id"), primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("rx", sa.BigInteger, nullable=False),
    sa.Column("tx", sa.BigInteger, nullable=False),
    sa.Index("ix_usage_day", "day"),
)

usage_month = sa.Table(
    "usage_month",
    metadata,
    sa.Column("user_id", sa.String(36), sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("month", sa.String(7), primary_key=True),
    sa.Column("rx", sa.BigInteger, nullable=False),
    sa.Column("tx", sa.BigInteger, nullable=False),
    sa.Column("noted", sa.Boolean, nullable=False),
    sa.Index("ix_usage_month_month", "month"),
)

node_health = sa.Table(
    "node_health",
    metadata,
    sa.Column("node_id", sa.String(36), sa.ForeignKey("node.id"), primary_key=True),
    sa.Column("verdict", sa.String(10), nullable=False),
    sa.Column("since", Utc, nullable=False),
    sa.Column("streak", sa.Integer, nullable=False),
    sa.Column("history", sa.String(21), nullable=False),
    sa.Column("flapping", sa.Boolean, nullable=False),
    sa.Column("checked_at", Utc, nullable=False),
    sa.Column("online", sa.Integer, nullable=False),
    sa.Column("sample", sa.JSON, nullable=False),
    sa.Column("alerted", sa.String(10)),
    sa.Column("alerted_at", Utc),
    sa.Column("alerts", sa.Integer, nullable=False),
)

measurement = sa.Table(
    "measurement",
    metadata,
    key(),
    ref("node_id", "node"),
    sa.Column("at", Utc, nullable=False),
    sa.Column("way", sa.String(8), nullable=False),
    sa.Column("latency_ms", sa.Float),
    sa.Column("loss", sa.Float),
    sa.Column("down_mbit", sa.Float),
    sa.Column("up_mbit", sa.Float),
    sa.Index("ix_measurement_node_id", "node_id", "at"),
)

notice = sa.Table(
    "notice",
    metadata,
    key(),
    sa.Column("chat", sa.String(8), nullable=False),
    ref("user_id", "user", nullable=True),
    sa.Column("kind", sa.String(24), nullable=False),
    sa.Column("subject_id", sa.String(36), nullable=False),
    sa.Column("key", sa.String(40), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("not_before", Utc, nullable=False),
    sa.Column("valid_until", Utc),
    sa.Column("sent_at", Utc),
    sa.Column("failed_at", Utc),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.String(200)),
    sa.UniqueConstraint("chat", "kind", "subject_id", "key", name="uq_notice_once"),
    sa.Index("ix_notice_sent_at", "sent_at", "failed_at", "not_before"),
    sa.Index("ix_notice_user_id", "user_id", "created_at"),
)
