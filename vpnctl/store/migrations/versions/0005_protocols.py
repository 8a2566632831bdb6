"""Room for protocols without an interface, a key pair or addresses (docs/adr/0027).

What only one protocol knows moves into `options`; what identifies a peer or an endpoint on its node is its identity,
whatever that is. Nothing is unsealed: the upgrade needs no key file.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

OPTIONS = ("pool_v4", "pool_v6", "dns", "mtu", "allowed_ips", "keepalive", "isolation")
"""Columns of WireGuard's alone."""
RENAMED = (
    ("endpoint", "interface", "name"),
    ("endpoint", "public_key", "identity"),
    ("endpoint", "probe_public", "probe_identity"),
    ("endpoint", "probe_key_sealed", "probe_secret_sealed"),
    ("endpoint", "probe_psk_sealed", "probe_shared_sealed"),
    ("peer", "public_key", "identity"),
    ("peer", "psk_sealed", "shared_sealed"),
    ("alien", "public_key", "identity"),
    ("alien", "psk_sealed", "shared_sealed"),
)


def upgrade() -> None:
    """See the module."""
    alive = sa.text("removed_at IS NULL")
    op.drop_index("uq_endpoint_interface_alive", "endpoint")
    op.drop_index("uq_endpoint_port_alive", "endpoint")
    _note_absence()
    _fill_options(op.get_bind())
    for column in OPTIONS:
        op.execute(sa.text(f"ALTER TABLE endpoint DROP COLUMN {column}"))
    op.add_column("endpoint", sa.Column("secret_sealed", sa.Text))  # not renamed: now it may be absent
    op.execute(sa.text("UPDATE endpoint SET secret_sealed = key_sealed"))
    op.execute(sa.text("ALTER TABLE endpoint DROP COLUMN key_sealed"))
    for table, old, new in RENAMED:
        op.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}"))
    op.add_column("endpoint", sa.Column("transport", sa.String(3), nullable=False, server_default="udp"))
    op.add_column("endpoint", sa.Column("driver", sa.String(16), nullable=False, server_default="node"))
    for name, columns in (
        ("uq_endpoint_name_alive", ["node_id", "name"]),
        ("uq_endpoint_port_alive", ["node_id", "transport", "port"]),
    ):
        op.create_index(name, "endpoint", columns, unique=True, sqlite_where=alive, postgresql_where=alive)


def _note_absence() -> None:
    """Peers of endpoints that were removed before they ever were on their node cannot be there (0.2 kept them open)."""
    op.execute(
        sa.text(
            "UPDATE peer SET absent_at = revoked_at WHERE absent_at IS NULL AND present_at IS NULL"
            " AND revoked_at IS NOT NULL AND endpoint_id IN (SELECT id FROM endpoint WHERE removed_at IS NOT NULL"
            " AND proven_at IS NOT NULL AND digest IS NULL)"
        )
    )


def _fill_options(connection: sa.Connection) -> None:
    typed = {"mtu": sa.Integer, "keepalive": sa.Integer, "isolation": sa.Boolean}
    columns: list[Any] = [sa.column(name, typed.get(name, sa.Text)) for name in OPTIONS]
    table = sa.table("endpoint", sa.column("id"), sa.column("options", sa.JSON), *columns)
    for row in connection.execute(sa.select(table)).mappings().all():
        options = {name: row[name] for name in OPTIONS}
        connection.execute(sa.update(table).where(table.c.id == row["id"]).values(options=options))
