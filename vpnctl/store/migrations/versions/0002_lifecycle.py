"""Plans, subscriptions, trials, traffic, health, notices.

Everybody who is there becomes unlimited, so that nobody is cut by an upgrade. Counters that were read so far are
where the traffic ledger begins: what passed before is not booked again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

UTC = sa.DateTime(timezone=True)


def _subscription_like() -> list[sa.Column]:  # type: ignore[type-arg]
    return [
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("devices", sa.Integer),
        sa.Column("traffic", sa.BigInteger),
        sa.Column("locations", sa.JSON, nullable=False),
        sa.Column("prices", sa.JSON, nullable=False),
    ]


def upgrade() -> None:
    """See the module."""
    _columns()
    _access()
    _traffic()
    _watching()
    # From here on an endpoint that changed is not proven, whatever the clocks said.
    op.execute(sa.text("UPDATE endpoint SET proven_at = NULL WHERE changed_at > proven_at"))
    op.execute(sa.text('UPDATE "user" SET unlimited = :yes').bindparams(yes=True))
    op.execute(
        sa.text(
            "INSERT INTO counter (peer_id, boot_id, link, rx, tx, handshake, read_at)"
            " SELECT peer.id, node.boot_id, 0, peer.rx, peer.tx, 0, node.seen_at FROM peer"
            " JOIN endpoint ON endpoint.id = peer.endpoint_id JOIN node ON node.id = endpoint.node_id"
            " WHERE peer.present_at IS NOT NULL AND node.boot_id IS NOT NULL AND node.seen_at IS NOT NULL"
        )
    )


def _columns() -> None:
    op.add_column("node", sa.Column("traffic_limit", sa.BigInteger))
    op.add_column("endpoint", sa.Column("probe_public", sa.String(44)))
    op.add_column("endpoint", sa.Column("probe_key_sealed", sa.Text))
    op.add_column("endpoint", sa.Column("probe_psk_sealed", sa.Text))
    op.add_column("endpoint", sa.Column("probed_at", UTC))
    op.add_column("endpoint", sa.Column("measuring_until", UTC))
    op.add_column("user", sa.Column("bot_blocked_at", UTC))
    op.add_column("event", sa.Column("once", sa.String(110)))
    op.create_index("uq_event_once", "event", ["once"], unique=True)


def _access() -> None:
    op.drop_index("ix_peer_user_id", "peer")
    seen = ["user_id", "present_at", "absent_at", "revoked_at", "suspended_at", "expires_at", "endpoint_id", "id"]
    op.create_index("ix_peer_access", "peer", seen)
    op.create_index("ix_user_access", "user", ["id", "unlimited", "approved_at", "blocked_at", "removed_at"])
    op.create_table(
        "plan",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("title", sa.String(64), nullable=False),
        *_subscription_like(),
        sa.Column("trial", sa.Boolean, nullable=False),
        sa.Column("on_sale", sa.Boolean, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_plan"),
        sa.UniqueConstraint("name", name="uq_plan_name"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("plan", sa.String(32), nullable=False),
        *_subscription_like(),
        sa.Column("source", sa.String(8), nullable=False),
        sa.Column("payment", sa.String(64)),
        sa.Column("starts_at", UTC, nullable=False),
        sa.Column("ends_at", UTC, nullable=False),
        sa.Column("cancelled_at", UTC),
        sa.Column("converted_at", UTC),
        sa.Column("noted", sa.Integer, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_subscription_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_subscription"),
    )
    terms = ["user_id", "ends_at", "starts_at", "cancelled_at", "traffic"]
    op.create_index("ix_subscription_access", "subscription", terms)
    op.create_index("ix_subscription_noted", "subscription", ["noted", "ends_at"])
    op.create_table(
        "trial",
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("subscription_id", sa.String(36), nullable=False),
        sa.Column("started_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("person", name="pk_trial"),
    )


def _traffic() -> None:
    op.create_table(
        "counter",
        sa.Column("peer_id", sa.String(36), nullable=False),
        sa.Column("boot_id", sa.String(40), nullable=False),
        sa.Column("link", sa.Integer, nullable=False),
        sa.Column("rx", sa.BigInteger, nullable=False),
        sa.Column("tx", sa.BigInteger, nullable=False),
        sa.Column("handshake", sa.BigInteger, nullable=False),
        sa.Column("read_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.id"], name="fk_counter_peer_id"),
        sa.PrimaryKeyConstraint("peer_id", name="pk_counter"),
    )
    op.create_table(
        "usage",
        sa.Column("peer_id", sa.String(36), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("rx", sa.BigInteger, nullable=False),
        sa.Column("tx", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["peer.id"], name="fk_usage_peer_id"),
        sa.PrimaryKeyConstraint("peer_id", "day", name="pk_usage"),
    )
    op.create_index("ix_usage_day", "usage", ["day"])
    op.create_table(
        "usage_month",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("rx", sa.BigInteger, nullable=False),
        sa.Column("tx", sa.BigInteger, nullable=False),
        sa.Column("noted", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_usage_month_user_id"),
        sa.PrimaryKeyConstraint("user_id", "month", name="pk_usage_month"),
    )
    op.create_index("ix_usage_month_month", "usage_month", ["month"])


def _watching() -> None:
    op.create_table(
        "node_health",
        sa.Column("node_id", sa.String(36), nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("since", UTC, nullable=False),
        sa.Column("streak", sa.Integer, nullable=False),
        sa.Column("history", sa.String(21), nullable=False),
        sa.Column("flapping", sa.Boolean, nullable=False),
        sa.Column("checked_at", UTC, nullable=False),
        sa.Column("online", sa.Integer, nullable=False),
        sa.Column("sample", sa.JSON, nullable=False),
        sa.Column("alerted", sa.String(10)),
        sa.Column("alerted_at", UTC),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name="fk_node_health_node_id"),
        sa.PrimaryKeyConstraint("node_id", name="pk_node_health"),
    )
    op.create_table(
        "measurement",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("node_id", sa.String(36), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("way", sa.String(8), nullable=False),
        sa.Column("latency_ms", sa.Float),
        sa.Column("loss", sa.Float),
        sa.Column("down_mbit", sa.Float),
        sa.Column("up_mbit", sa.Float),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name="fk_measurement_node_id"),
        sa.PrimaryKeyConstraint("id", name="pk_measurement"),
    )
    op.create_index("ix_measurement_node_id", "measurement", ["node_id", "at"])
    op.create_table(
        "notice",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("chat", sa.String(8), nullable=False),
        sa.Column("user_id", sa.String(36)),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("not_before", UTC, nullable=False),
        sa.Column("valid_until", UTC),
        sa.Column("sent_at", UTC),
        sa.Column("failed_at", UTC),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.String(200)),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_notice_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
        sa.UniqueConstraint("chat", "kind", "subject_id", "key", name="uq_notice_once"),
    )
    op.create_index("ix_notice_sent_at", "notice", ["sent_at", "failed_at", "not_before"])
