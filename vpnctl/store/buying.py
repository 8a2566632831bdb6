"""The tables of money: orders, payments, proofs that people send, and what providers call us with."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store.columns import Utc, key, metadata, ref

order = sa.Table(
    "order",
    metadata,
    key(),
    sa.Column("number", sa.Integer, nullable=False),
    ref("user_id", "user"),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("plan", sa.String(32), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("replaces_id", sa.String(36)),
    sa.Column("provider", sa.String(16), nullable=False),
    sa.Column("external_id", sa.String(200)),
    sa.Column("url", sa.Text),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("changed_at", Utc, nullable=False),
    sa.Column("paid_at", Utc),
    sa.Column("fulfilled_at", Utc),
    sa.Column("decided_by", sa.String(64)),
    sa.Column("reason", sa.String(200)),
    sa.Column("subscription_id", sa.String(36)),
    sa.Column("ask_at", Utc),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.UniqueConstraint("number"),
    sa.UniqueConstraint("provider", "external_id", name="uq_order_external"),
    sa.Index("ix_order_ask_at", "ask_at"),
    sa.Index("ix_order_state", "state", "changed_at"),
    sa.Index("ix_order_user_id", "user_id"),
)

payment = sa.Table(
    "payment",
    metadata,
    key(),
    sa.Column("provider", sa.String(16), nullable=False),
    sa.Column("external_id", sa.String(200), nullable=False),
    ref("order_id", "order", nullable=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("payer", sa.String(64)),
    sa.Column("note", sa.String(200)),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("changed_at", Utc, nullable=False),
    sa.Column("decided_by", sa.String(64)),
    sa.Column("ask_at", Utc),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("raw", sa.JSON, nullable=False),
    sa.UniqueConstraint("provider", "external_id", name="uq_payment_external"),
    sa.Index("ix_payment_order_id", "order_id"),
    sa.Index("ix_payment_state", "state", "changed_at"),
    sa.Index("ix_payment_ask_at", "ask_at"),
)

proof = sa.Table(
    "proof",
    metadata,
    key(),
    ref("order_id", "order"),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("file_id", sa.String(200)),
    sa.Column("file_key", sa.String(64)),
    sa.Column("digest", sa.String(64)),
    sa.Column("reference", sa.String(200)),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("forgotten_at", Utc),
    sa.Index("ix_proof_order_id", "order_id"),
    sa.Index("ix_proof_file_key", "file_key"),
    sa.Index("ix_proof_digest", "digest"),
)

webhook_event = sa.Table(
    "webhook_event",
    metadata,
    key(),
    sa.Column("provider", sa.String(16), nullable=False),
    sa.Column("event_id", sa.String(200), nullable=False),
    sa.Column("about", sa.String(200), nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("received_at", Utc, nullable=False),
    sa.Column("handled_at", Utc),
    sa.Column("not_before", Utc, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.String(200)),
    sa.UniqueConstraint("provider", "event_id", name="uq_webhook_event"),
    sa.Index("ix_webhook_event_handled_at", "handled_at", "not_before"),
)
