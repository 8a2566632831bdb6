"""The first tables.

This text is frozen: it says what schema 0001 was, whatever the models become.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    utc = sa.DateTime(timezone=True)
    op.create_table(
        "meta",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("login", sa.String(32), nullable=False),
        sa.Column("host_key", sa.Text, nullable=False),
        sa.Column("jump_id", sa.String(36), nullable=True),
        sa.ForeignKeyConstraint(["jump_id"], ["node.id"], name="fk_node_jump_id"),
        sa.Column("public_host", sa.String(253), nullable=False),
        sa.Column("capacity", sa.Integer),
        sa.Column("rent_due", sa.Date),
        sa.Column("token", sa.String(40)),
        sa.Column("boot_id", sa.String(40)),
        sa.Column("seen_at", utc),
        sa.Column("last_error", sa.Text),
        sa.Column("last_error_code", sa.Integer),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("draining_at", utc),
        sa.Column("retired_at", utc),
        sa.PrimaryKeyConstraint("id", name="pk_node"),
    )
    op.create_index(
        "uq_node_name_alive",
        "node",
        ["name"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "token",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("node_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name="fk_token_node_id"),
        sa.Column("value", sa.String(40), nullable=False),
        sa.Column("issued_at", utc, nullable=False),
        sa.UniqueConstraint("value", name="uq_token_value"),
        sa.PrimaryKeyConstraint("seq", name="pk_token"),
    )
    op.create_index("ix_token_node_id", "token", ["node_id"])
    op.create_table(
        "endpoint",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("node_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name="fk_endpoint_node_id"),
        sa.Column("protocol", sa.String(16), nullable=False),
        sa.Column("interface", sa.String(15), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("pool_v4", sa.String(18), nullable=False),
        sa.Column("pool_v6", sa.String(43)),
        sa.Column("dns", sa.String(200), nullable=False),
        sa.Column("mtu", sa.Integer, nullable=False),
        sa.Column("allowed_ips", sa.Text, nullable=False),
        sa.Column("keepalive", sa.Integer, nullable=False),
        sa.Column("isolation", sa.Boolean, nullable=False),
        sa.Column("forward_rule", sa.String(8), nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("public_key", sa.String(44), nullable=False),
        sa.Column("key_sealed", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("changed_at", utc, nullable=False),
        sa.Column("proven_at", utc),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("removed_at", utc),
        sa.PrimaryKeyConstraint("id", name="pk_endpoint"),
    )
    op.create_index(
        "uq_endpoint_interface_alive",
        "endpoint",
        ["node_id", "interface"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "uq_endpoint_port_alive",
        "endpoint",
        ["node_id", "port"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(36), nullable=False),
        sa.Column("display_name", sa.String(64), nullable=False),
        sa.Column("telegram_id", sa.BigInteger),
        sa.Column("locale", sa.String(8), nullable=False),
        sa.Column("requested_at", utc),
        sa.Column("approved_at", utc),
        sa.Column("approved_by", sa.String(64)),
        sa.Column("blocked_at", utc),
        sa.Column("blocked_by", sa.String(64)),
        sa.Column("unlimited", sa.Boolean, nullable=False),
        sa.Column("device_limit", sa.Integer),
        sa.Column("note", sa.String(64), nullable=False),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("removed_at", utc),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
    )
    op.create_index(
        "uq_user_name_alive",
        "user",
        ["name"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "uq_user_telegram_alive",
        "user",
        ["telegram_id"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "peer",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("endpoint_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="fk_peer_endpoint_id"),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_peer_user_id"),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("public_key", sa.String(44), nullable=False),
        sa.Column("own_key", sa.Boolean, nullable=False),
        sa.Column("secret_sealed", sa.Text),
        sa.Column("psk_sealed", sa.Text),
        sa.Column("ipv4", sa.String(15)),
        sa.Column("ipv6", sa.String(39)),
        sa.Column("created_at", utc, nullable=False),
        sa.Column("suspended_at", utc),
        sa.Column("revoked_at", utc),
        sa.Column("retiring_at", utc),
        sa.Column("expires_at", utc),
        sa.Column("replaces_id", sa.String(36), nullable=True),
        sa.ForeignKeyConstraint(["replaces_id"], ["peer.id"], name="fk_peer_replaces_id"),
        sa.Column("delivered_at", utc),
        sa.Column("delivered_how", sa.String(16)),
        sa.Column("present_at", utc),
        sa.Column("absent_at", utc),
        sa.Column("handshake_at", utc),
        sa.Column("rx", sa.BigInteger, nullable=False),
        sa.Column("tx", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("endpoint_id", "public_key", name="uq_peer_identity"),
        sa.UniqueConstraint("endpoint_id", "ipv4", name="uq_peer_ipv4"),
        sa.UniqueConstraint("endpoint_id", "ipv6", name="uq_peer_ipv6"),
        sa.PrimaryKeyConstraint("id", name="pk_peer"),
    )
    op.create_index("ix_peer_user_id", "peer", ["user_id"])
    op.create_index("ix_peer_replaces_id", "peer", ["replaces_id"])
    op.create_index(
        "uq_peer_device_alive",
        "peer",
        ["endpoint_id", "user_id", "device"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL AND retiring_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL AND retiring_at IS NULL"),
    )
    op.create_table(
        "alien",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("endpoint_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="fk_alien_endpoint_id"),
        sa.Column("public_key", sa.String(44), nullable=False),
        sa.Column("psk_sealed", sa.Text),
        sa.Column("allowed_ips", sa.Text, nullable=False),
        sa.Column("first_seen_at", utc, nullable=False),
        sa.Column("pruned_at", utc),
        sa.UniqueConstraint("endpoint_id", "public_key", name="uq_alien_identity"),
        sa.PrimaryKeyConstraint("id", name="pk_alien"),
    )
    op.create_table(
        "event",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("at", utc, nullable=False),
        sa.Column("recorded_at", utc, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("verb", sa.String(40), nullable=False),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(36), nullable=False),
        sa.Column("subject", sa.String(110), nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_event"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_subject_id", "event", ["subject_id"])
    op.create_table(
        "job_run",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("job", sa.String(20), nullable=False),
        sa.Column("started_at", utc, nullable=False),
        sa.Column("finished_at", utc),
        sa.Column("code", sa.Integer),
        sa.Column("detail", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_job_run"),
    )
    op.create_index("ix_job_run_job", "job_run", ["job", "started_at"])
