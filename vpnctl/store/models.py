"""The tables. Portable types, named constraints, times as aware UTC.

A row of the past is a tombstone, not a hole: names are unique among the living only, public identities for ever.
"""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store.buying import order, payment, proof, webhook_event
from vpnctl.store.columns import Utc, key, metadata, ref
from vpnctl.store.selling import plan, subscription, trial
from vpnctl.store.serving import api_key, api_run, lease, link, worker
from vpnctl.store.talking import applicant, button, draft, inbox, invite, prompt, request
from vpnctl.store.watching import counter, measurement, node_health, notice, usage, usage_month

SCHEMA = "0012"
"""The migration that this code works with."""

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

node = sa.Table(
    "node",
    metadata,
    key(),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("host", sa.String(253), nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("login", sa.String(32), nullable=False),
    sa.Column("host_key", sa.Text, nullable=False),
    ref("jump_id", "node", nullable=True),
    sa.Column("public_host", sa.String(253), nullable=False),
    sa.Column("capacity", sa.Integer),
    sa.Column("rent_due", sa.Date),
    sa.Column("traffic_limit", sa.BigInteger),
    sa.Column("traffic_action", sa.String(5), nullable=False, server_default="warn"),
    sa.Column("protocol", sa.String(16)),
    sa.Column("token", sa.String(40)),
    sa.Column("boot_id", sa.String(40)),
    sa.Column("seen_at", Utc),
    sa.Column("last_error", sa.Text),
    sa.Column("last_error_code", sa.Integer),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("draining_at", Utc),
    sa.Column("retired_at", Utc),
    sa.Column("path_error", sa.Text),
    sa.Column("path_at", Utc),
    sa.Column("fence_at", Utc),
    sa.Column("panel_url", sa.Text),
    sa.Column("panel_login", sa.String(64)),
    sa.Column("panel_secret_sealed", sa.Text),
    sa.Column("panel_certificate", sa.String(64)),
    sa.Column("leased_until", Utc),
    sa.Column("leased_by", sa.String(36)),
)

token = sa.Table(
    "token",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    ref("node_id", "node"),
    sa.Column("value", sa.String(40), nullable=False),
    sa.Column("issued_at", Utc, nullable=False),
    sa.UniqueConstraint("value"),
    sa.Index("ix_token_node_id", "node_id"),
)

endpoint = sa.Table(
    "endpoint",
    metadata,
    key(),
    ref("node_id", "node"),
    sa.Column("protocol", sa.String(16), nullable=False),
    sa.Column("name", sa.String(15), nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("forward_rule", sa.String(8), nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("identity", sa.String(44), nullable=False),
    sa.Column("secret_sealed", sa.Text),
    sa.Column("probe_identity", sa.String(44)),
    sa.Column("probe_secret_sealed", sa.Text),
    sa.Column("probe_shared_sealed", sa.Text),
    sa.Column("probed_at", Utc),
    sa.Column("measuring_until", Utc),
    sa.Column("digest", sa.String(64)),
    sa.Column("changed_at", Utc, nullable=False),
    sa.Column("proven_at", Utc),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("removed_at", Utc),
    sa.Column("clients_changed_at", Utc),
    sa.Column("transport", sa.String(3), nullable=False),
    sa.Column("driver", sa.String(16), nullable=False),
    sa.Column("successor_id", sa.String(36)),
)

user = sa.Table(
    "user",
    metadata,
    key(),
    sa.Column("name", sa.String(36), nullable=False),
    sa.Column("display_name", sa.String(64), nullable=False),
    sa.Column("telegram_id", sa.BigInteger),
    sa.Column("locale", sa.String(8), nullable=False),
    sa.Column("requested_at", Utc),
    sa.Column("approved_at", Utc),
    sa.Column("approved_by", sa.String(64)),
    sa.Column("blocked_at", Utc),
    sa.Column("blocked_by", sa.String(64)),
    sa.Column("unlimited", sa.Boolean, nullable=False),
    sa.Column("device_limit", sa.Integer),
    sa.Column("note", sa.String(64), nullable=False),
    sa.Column("bot_blocked_at", Utc),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("removed_at", Utc),
    sa.Index("ix_user_access", "id", "unlimited", "approved_at", "blocked_at", "removed_at"),
)

peer = sa.Table(
    "peer",
    metadata,
    key(),
    ref("endpoint_id", "endpoint"),
    ref("user_id", "user"),
    sa.Column("device", sa.String(32), nullable=False),
    sa.Column("identity", sa.String(44), nullable=False),
    sa.Column("own_key", sa.Boolean, nullable=False),
    sa.Column("secret_sealed", sa.Text),
    sa.Column("shared_sealed", sa.Text),
    sa.Column("ipv4", sa.String(15)),
    sa.Column("ipv6", sa.String(39)),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("suspended_at", Utc),
    sa.Column("revoked_at", Utc),
    sa.Column("retiring_at", Utc),
    sa.Column("expires_at", Utc),
    ref("replaces_id", "peer", nullable=True),
    sa.Column("delivered_at", Utc),
    sa.Column("delivered_how", sa.String(16)),
    sa.Column("present_at", Utc),
    sa.Column("absent_at", Utc),
    sa.Column("handshake_at", Utc),
    sa.Column("rx", sa.BigInteger, nullable=False),
    sa.Column("tx", sa.BigInteger, nullable=False),
    sa.Column("options", sa.JSON(none_as_null=True)),
    sa.UniqueConstraint("endpoint_id", "identity", name="uq_peer_identity"),
    sa.UniqueConstraint("endpoint_id", "ipv4", name="uq_peer_ipv4"),
    sa.UniqueConstraint("endpoint_id", "ipv6", name="uq_peer_ipv6"),
    sa.Index(
        "ix_peer_access",
        "user_id",
        "present_at",
        "absent_at",
        "revoked_at",
        "suspended_at",
        "expires_at",
        "endpoint_id",
        "id",
    ),
    sa.Index("ix_peer_replaces_id", "replaces_id"),
)

alien = sa.Table(
    "alien",
    metadata,
    key(),
    ref("endpoint_id", "endpoint"),
    sa.Column("identity", sa.String(44), nullable=False),
    sa.Column("shared_sealed", sa.Text),
    sa.Column("allowed_ips", sa.Text, nullable=False),
    sa.Column("first_seen_at", Utc, nullable=False),
    sa.Column("pruned_at", Utc),
    sa.UniqueConstraint("endpoint_id", "identity", name="uq_alien_identity"),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", Utc, nullable=False),
    sa.Column("recorded_at", Utc, nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("verb", sa.String(40), nullable=False),
    sa.Column("subject_kind", sa.String(16), nullable=False),
    sa.Column("subject_id", sa.String(36), nullable=False),
    sa.Column("subject", sa.String(110), nullable=False),
    sa.Column("before", sa.JSON),
    sa.Column("after", sa.JSON),
    sa.Column("run_id", sa.String(36), nullable=False),
    sa.Column("once", sa.String(110)),
    sa.Index("ix_event_subject_id", "subject_id"),
    sa.Index("ix_event_actor", "actor", "at"),
    sa.Index("uq_event_once", "once", unique=True),
    sqlite_autoincrement=True,
)

job_run = sa.Table(
    "job_run",
    metadata,
    key(),
    sa.Column("job", sa.String(20), nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("finished_at", Utc),
    sa.Column("code", sa.Integer),
    sa.Column("detail", sa.JSON),
    sa.Index("ix_job_run_job", "job", "started_at"),
)

UNIQUE_AMONG_THE_LIVING = (
    ("uq_node_name_alive", node, ("name",), "retired_at IS NULL"),
    ("uq_endpoint_name_alive", endpoint, ("node_id", "name"), "removed_at IS NULL"),
    ("uq_endpoint_port_alive", endpoint, ("node_id", "transport", "port"), "removed_at IS NULL"),
    ("uq_user_name_alive", user, ("name",), "removed_at IS NULL"),
    ("uq_user_telegram_alive", user, ("telegram_id",), "removed_at IS NULL"),
    (
        "uq_peer_device_alive",
        peer,
        ("endpoint_id", "user_id", "device"),
        "revoked_at IS NULL AND retiring_at IS NULL",
    ),
    ("uq_api_key_name_alive", api_key, ("name",), "revoked_at IS NULL"),
)
"""Partial unique indexes. They live in the migrations; here they are plain data, because building them would
import both dialects, which costs every short command 20 ms. `complete` builds them for whoever compares."""


def complete() -> sa.MetaData:
    """Return the metadata with the partial indexes."""
    for name, table, columns, condition in UNIQUE_AMONG_THE_LIVING:
        if name not in {index.name for index in table.indexes}:
            where = sa.text(condition)
            sa.Index(
                name, *(table.c[each] for each in columns), unique=True, sqlite_where=where, postgresql_where=where
            )
    return metadata


__all__ = [
    "SCHEMA",
    "UNIQUE_AMONG_THE_LIVING",
    "Utc",
    "alien",
    "api_key",
    "api_run",
    "applicant",
    "button",
    "complete",
    "counter",
    "draft",
    "endpoint",
    "event",
    "inbox",
    "invite",
    "job_run",
    "lease",
    "link",
    "measurement",
    "meta",
    "metadata",
    "node",
    "node_health",
    "notice",
    "order",
    "payment",
    "peer",
    "plan",
    "prompt",
    "proof",
    "request",
    "subscription",
    "token",
    "trial",
    "usage",
    "usage_month",
    "user",
    "webhook_event",
    "worker",
]
