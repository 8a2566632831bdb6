"""One frozen row type per table; the fields are the columns (a test compares them)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from vpnctl.store import models

HTTPS = "https"
"""The kind of a node of which only its panel is reached; others are `ssh` and `local`."""


@dataclass(frozen=True, kw_only=True)
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
    jump_id: str | None = None
    public_host: str
    capacity: int | None = None
    rent_due: date | None = None
    traffic_limit: int | None = None
    """Bytes a month that the provider lets pass; None: nobody counts."""
    traffic_action: str = "warn"
    """What follows when they are used up: `warn`, `close` (to new devices), `stop` (nobody may connect there)."""
    protocol: str | None = None
    """What new devices get there unless told; None or empty: the first one that is served."""
    token: str | None = None
    boot_id: str | None = None
    seen_at: datetime | None = None
    last_error: str | None = None
    last_error_code: int | None = None
    created_at: datetime
    draining_at: datetime | None = None
    retired_at: datetime | None = None
    path_error: str | None = None
    """Why packets of peers did not pass when that was last tried, at `path_at`; None: they did, or nobody tried."""
    path_at: datetime | None = None
    fence_at: datetime | None = None
    """When something was decided about people there that the node's token does not tell of yet (docs/adr/0022)."""
    panel_url: str | None = None
    """Where its 3x-ui panel answers: seen from here for a node of kind `https`, else from the node itself."""
    panel_login: str | None = None
    """Whom to log in there; empty: the secret is a token."""
    panel_secret_sealed: str | None = None
    panel_certificate: str | None = None
    """SHA-256 of the certificate that it must show, as `SHA256:HEX`; empty: one that this machine trusts."""
    leased_until: datetime | None = None
    """Until when `leased_by` alone may change a node that keeps no token (docs/adr/0032)."""
    leased_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One protocol on one node."""

    table: ClassVar[sa.Table] = models.endpoint
    id: str
    node_id: str
    protocol: str
    name: str
    """What it is called on its node, such as the interface `wg0`."""
    port: int
    forward_rule: str
    options: dict[str, Any]
    """What only its protocol knows; see its plug-in."""
    identity: str
    """What the node shows of it, such as a public key; no secret."""
    secret_sealed: str | None = None
    probe_identity: str | None = None
    """Of our own peer there, with which we shake hands to see whether the endpoint answers."""
    probe_secret_sealed: str | None = None
    probe_shared_sealed: str | None = None
    probed_at: datetime | None = None
    """The time in the last handshake that we sent; WireGuard takes only later ones."""
    measuring_until: datetime | None = None
    """Until then the probe peer has an address, so that packets can be measured."""
    digest: str | None = None
    changed_at: datetime
    proven_at: datetime | None = None
    created_at: datetime
    removed_at: datetime | None = None
    clients_changed_at: datetime | None = None
    """When something changed that stands in people's files: who got theirs before needs a new one."""
    transport: str
    """`udp` or `tcp`: what its port is one of."""
    driver: str
    """How its node is read and changed; see `remote.driver`."""
    successor_id: str | None = None
    """The endpoint, with another key, to which its people are moved; then it ends."""


@dataclass(frozen=True, kw_only=True)
class User:
    """A person."""

    table: ClassVar[sa.Table] = models.user
    id: str
    name: str
    display_name: str
    telegram_id: int | None = None
    locale: str
    requested_at: datetime | None = None
    approved_at: datetime | None = None
    approved_by: str | None = None
    blocked_at: datetime | None = None
    blocked_by: str | None = None
    unlimited: bool
    device_limit: int | None = None
    note: str
    bot_blocked_at: datetime | None = None
    created_at: datetime
    removed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One device's credential on one endpoint. rx and tx: bytes since it exists, rx is what the node received."""

    table: ClassVar[sa.Table] = models.peer
    id: str
    endpoint_id: str
    user_id: str
    device: str
    identity: str
    """What the node shows of it, such as a public key; no secret. It is never used again."""
    own_key: bool
    secret_sealed: str | None = None
    """What only the client needs, such as a private key; with `client_secrets: discard` it is not kept."""
    shared_sealed: str | None = None
    """What the node must know too, such as a preshared key or a password."""
    ipv4: str | None = None
    ipv6: str | None = None
    created_at: datetime
    suspended_at: datetime | None = None
    revoked_at: datetime | None = None
    retiring_at: datetime | None = None
    expires_at: datetime | None = None
    replaces_id: str | None = None
    delivered_at: datetime | None = None
    delivered_how: str | None = None
    present_at: datetime | None = None
    absent_at: datetime | None = None
    handshake_at: datetime | None = None
    rx: int = 0
    tx: int = 0
    options: dict[str, Any] | None = None
    """What its client has otherwise than the endpoint's options say."""


@dataclass(frozen=True, kw_only=True)
class Alien:
    """A peer found on a node that is not ours."""

    table: ClassVar[sa.Table] = models.alien
    id: str
    endpoint_id: str
    identity: str
    shared_sealed: str | None = None
    allowed_ips: str
    first_seen_at: datetime
    pruned_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A tariff. `traffic` is bytes a period, `prices` maps a currency to minor units; None means without limit."""

    table: ClassVar[sa.Table] = models.plan
    id: str
    name: str
    title: str
    titles: dict[str, str] | None = None
    """The same by language."""
    days: int
    devices: int | None = None
    traffic: int | None = None
    traffic_period: str = "month"
    """`day`, `week`, `month`, or `rolling`: the last 30 days. In the operator's zone."""
    node_traffic: int | None = None
    """Bytes a period on each node."""
    locations: list[str]
    protocol: str | None = None
    """What a new device gets where it is served; None: as the node says."""
    prices: dict[str, int]
    trial: bool
    on_sale: bool
    created_at: datetime

    def called(self, locale: str = "") -> str:
        """Return what it is called on the screens of a language; its name, where it has no title."""
        return (self.titles or {}).get(locale) or self.title or self.name


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One granted period of one user, with a copy of the plan as it was: a changed tariff changes nothing bought."""

    table: ClassVar[sa.Table] = models.subscription
    id: str
    user_id: str
    plan: str
    days: int
    devices: int | None = None
    traffic: int | None = None
    traffic_period: str = "month"
    """`day`, `week`, `month`, or `rolling`: the last 30 days. In the operator's zone."""
    node_traffic: int | None = None
    """Bytes a period on each node."""
    locations: list[str]
    protocol: str | None = None
    prices: dict[str, int]
    source: str
    """`trial`, `payment` or `grant`."""
    payment: str | None = None
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None = None
    converted_at: datetime | None = None
    noted: int = 0
    """How far the job has told of it: 0, 1 (that it ends soon), 2 (that it is over)."""
    created_at: datetime
    paid_amount: int | None = None
    """What was paid, minor units of `paid_currency`; None where nothing was, or nobody said."""
    paid_currency: str | None = None


@dataclass(frozen=True, kw_only=True)
class Health:
    """What was found of a node, and what was said about it. `history` holds the last results, newest last."""

    table: ClassVar[sa.Table] = models.node_health
    node_id: str
    verdict: str
    since: datetime
    streak: int
    history: str
    flapping: bool
    checked_at: datetime
    online: int
    sample: dict[str, Any]
    alerted: str | None = None
    alerted_at: datetime | None = None
    alerts: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measurement of the way to a node: milliseconds, share of packets lost (0 to 1), megabits a second."""

    table: ClassVar[sa.Table] = models.measurement
    id: str
    node_id: str
    at: datetime
    way: str
    latency_ms: float | None = None
    loss: float | None = None
    down_mbit: float | None = None
    up_mbit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A message in the outbox: enqueued once per (chat, kind, subject, key)."""

    table: ClassVar[sa.Table] = models.notice
    id: str
    chat: str
    """`user`, `admin` or `tech`."""
    user_id: str | None = None
    kind: str
    subject_id: str
    key: str
    details: dict[str, Any]
    created_at: datetime
    not_before: datetime
    valid_until: datetime | None = None
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    tries: int
    error: str | None = None
