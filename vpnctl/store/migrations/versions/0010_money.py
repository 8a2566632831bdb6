"""Orders, payments, proofs, and what providers call us with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """See the module."""
    _orders()
    _payments()
    _proofs()
    _events()


def _orders() -> None:
    op.create_table(
        "order",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("terms", sa.JSON, nullable=False),
        sa.Column("plan", sa.String(32), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("replaces_id", sa.String(36)),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("external_id", sa.String(200)),
        sa.Column("url", sa.Text),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.Column("paid_at", UTC),
        sa.Column("fulfilled_at", UTC),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("reason", sa.String(200)),
        sa.Column("subscription_id", sa.String(36)),
        sa.Column("ask_at", UTC),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_order_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_order"),
        sa.UniqueConstraint("number", name="uq_order_number"),
        sa.UniqueConstraint("provider", "external_id", name="uq_order_external"),
    )
    op.create_index("ix_order_ask_at", "order", ["ask_at"])
    op.create_index("ix_order_state", "order", ["state", "changed_at"])
    op.create_index("ix_order_user_id", "order", ["user_id"])


def _payments() -> None:
    op.create_table(
        "payment",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("external_id", sa.String(200), nullable=False),
        sa.Column("order_id", sa.String(36)),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("payer", sa.String(64)),
        sa.Column("note", sa.String(200)),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("ask_at", UTC),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("raw", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name="fk_payment_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_payment"),
        sa.UniqueConstraint("provider", "external_id", name="uq_payment_external"),
    )
    op.create_index("ix_payment_order_id", "payment", ["order_id"])
    op.create_index("ix_payment_state", "payment", ["state", "changed_at"])
    op.create_index("ix_payment_ask_at", "payment", ["ask_at"])


def _proofs() -> None:
    op.create_table(
        "proof",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("order_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("file_id", sa.String(200)),
        sa.Column("file_key", sa.String(64)),
        sa.Column("digest", sa.String(64)),
        sa.Column("reference", sa.String(200)),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("forgotten_at", UTC),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name="fk_proof_order_id"),
        sa.PrimaryKeyConstraint("id", name="pk_proof"),
    )
    for column in ("order_id", "file_key", "digest"):
        op.create_index(f"ix_proof_{column}", "proof", [column])


def _events() -> None:
    op.create_table(
        "webhook_event",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("event_id", sa.String(200), nullable=False),
        sa.Column("about", sa.String(200), nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("received_at", UTC, nullable=False),
        sa.Column("handled_at", UTC),
        sa.Column("not_before", UTC, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.String(200)),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_event"),
        sa.UniqueConstraint("provider", "event_id", name="uq_webhook_event"),
    )
    op.create_index("ix_webhook_event_handled_at", "webhook_event", ["handled_at", "not_before"])
