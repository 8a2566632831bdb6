"""One frozen row type per table; the fields are the columns (a test compares them)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from vpnctl.rules.access import Standing
from vpnctl.store import models


@dataclass(frozen=True)
class Node:
    """A server."""

    table: ClassVar[sa.Table] = models.node
    id: str
    name: str
    region: str
    kind: str
    host: str
    port: int
    login: str
    host_key: str
    jump_id: str | None
    public_host: str
    capacity: int | None
    rent_due: date | None
    token: str | None
    boot_id: str | None
    seen_at: datetime | None
    last_error: str | None
    last_error_code: int | None
    created_at: datetime
    draining_at: datetime | None
    retired_at: datetime | None


@dataclass(frozen=True)
class Endpoint:
    """One protocol on one node."""

    table: ClassVar[sa.Table] = models.endpoint
    id: str
    node_id: str
    protocol: str
    interface: str
    port: int
    pool_v4: str
    pool_v6: str | None
    dns: str
    mtu: int
    allowed_ips: str
    keepalive: int
    isolation: bool
    forward_rule: str
    options: dict[str, Any]
    public_key: str
    key_sealed: str
    digest: str | None
    changed_at: datetime
    proven_at: datetime | None
    created_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True)
class User:
    """A person."""

    table: ClassVar[sa.Table] = models.user
    id: str
    name: str
    display_name: str
    telegram_id: int | None
    locale: str
    requested_at: datetime | None
    approved_at: datetime | None
    approved_by: str | None
    blocked_at: datetime | None
    blocked_by: str | None
    unlimited: bool
    device_limit: int | None
    note: str
    created_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True)
class Peer:
    """One device's credential on one endpoint. Counters are bytes as the node counts: rx is what it received."""

    table: ClassVar[sa.Table] = models.peer
    id: str
    endpoint_id: str
    user_id: str
    device: str
    public_key: str
    own_key: bool
    secret_sealed: str | None
    psk_sealed: str | None
    ipv4: str | None
    ipv6: str | None
    created_at: datetime
    suspended_at: datetime | None
    revoked_at: datetime | None
    retiring_at: datetime | None
    expires_at: datetime | None
    replaces_id: str | None
    delivered_at: datetime | None
    delivered_how: str | None
    present_at: datetime | None
    absent_at: datetime | None
    handshake_at: datetime | None
    rx: int
    tx: int


@dataclass(frozen=True)
class Alien:
    """A peer found on a node that is not ours."""

    table: ClassVar[sa.Table] = models.alien
    id: str
    endpoint_id: str
    public_key: str
    psk_sealed: str | None
    allowed_ips: str
    first_seen_at: datetime
    pruned_at: datetime | None


def standing(user: User, peer: Peer) -> Standing:
    """Return what the access predicate looks at."""
    return Standing(
        approved_at=user.approved_at,
        blocked_at=user.blocked_at,
        removed_at=user.removed_at,
        unlimited=user.unlimited,
        suspended_at=peer.suspended_at,
        revoked_at=peer.revoked_at,
        expires_at=peer.expires_at,
    )
