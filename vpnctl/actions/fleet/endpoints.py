"""Verbs on endpoints: one protocol on one node."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import probes
from vpnctl.actions.outcome import stamp
from vpnctl.actions.people.peers import place, reinstate, revoke_rows
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols import NAMES, plugin
from vpnctl.rules import addresses, grammar
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node, Peer, User

DEFAULT_POOL_V4 = "10.66.0.0/16"
DEFAULT_DNS = "1.1.1.1, 2606:4700:4700::1111"
DEFAULT_MTU = 1420
LEAST_MTU = grammar.MIN_MTU
DEFAULT_KEEPALIVE = 25
ALL_TRAFFIC = "0.0.0.0/0, ::/0"
FORWARD_RULES = ("none", "docker", "ufw", "iptables")
MIN_PEERS = 1
PROTOCOLS = NAMES
RENEWS_CLIENTS = ("port", "dns", "mtu", "allowed_ips", "keepalive")
"""Options that stand in the files of clients: changing one means that people need a new file."""


def add(app: App, node_name: str, protocol: str, options: dict[str, Any]) -> tuple[Endpoint, Node]:
    """Add an endpoint. Options that are None get their default; a pool is picked beside the networks to `avoid`.

    Raises Conflict when interface or port is taken.
    """
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        return create(tx, app, node, protocol, options), node


def create(tx: Tx, app: App, node: Node, protocol: str, options: dict[str, Any]) -> Endpoint:
    """Add an endpoint inside a transaction."""
    kind = plugin(protocol)
    avoid = options.get("avoid", ())
    values = checked({key: value for key, value in options.items() if value is not None and key != "avoid"})
    there = find.endpoints(tx, node)
    interface = values.get("interface") or _free_interface(kind.interface_prefix, there)
    port = values.get("port") or _free_port(kind.default_port, there)
    for other in there:
        if other.interface == interface or other.port == port:
            what = f"interface {interface}" if other.interface == interface else f"port {port}"
            raise Conflict(
                f"{what} of {node.name} is taken by its {other.protocol} endpoint", f"vpnctl endpoint list {node.name}"
            )
    _refuse_overlap(values, there)
    secret, public = kind.keypair()
    endpoint_id = str(uuid.uuid4())
    row = Endpoint(
        id=endpoint_id,
        node_id=node.id,
        protocol=protocol,
        interface=interface,
        port=port,
        pool_v4=values.get("pool_v4") or _free_pool(there, avoid),
        pool_v6=_pool_v6(values),
        dns=values.get("dns", DEFAULT_DNS),
        mtu=values.get("mtu", DEFAULT_MTU),
        allowed_ips=values.get("allowed_ips", ALL_TRAFFIC),
        keepalive=values.get("keepalive", DEFAULT_KEEPALIVE),
        isolation=values.get("isolation", True),
        forward_rule=values.get("forward_rule", "none"),
        options={},
        public_key=public,
        key_sealed=app.vault.seal("endpoint.key", endpoint_id, secret),
        **probes.fresh(app.vault, protocol, endpoint_id),  # type: ignore[arg-type]
        changed_at=app.clock(),
        created_at=app.clock(),
    )
    tx.insert(row)
    after = {"protocol": protocol, "port": port, "pool_v4": row.pool_v4, "pool_v6": row.pool_v6}
    events.record(tx, stamp(app), "endpoint.add", ("endpoint", row.id, f"{node.name} {interface}"), None, after)
    return row


def _refuse_overlap(values: dict[str, Any], there: list[Endpoint]) -> None:
    for key in ("pool_v4", "pool_v6"):
        if values.get(key) in (None, "none"):
            continue
        pool = grammar.network(values[key])
        for other in there:
            theirs = getattr(other, key)
            if theirs is not None and pool.overlaps(grammar.network(theirs)):
                raise Conflict(f"{pool} overlaps with {theirs} of {other.interface}", "name another --pool")


def change(app: App, node_name: str, interface: str, options: dict[str, Any]) -> tuple[Endpoint, Node, list[str]]:
    """Change options; return (endpoint, node, people who need a new file as `USER/DEVICE`)."""
    values = checked({key: value for key, value in options.items() if value is not None})
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        row = find.endpoint(tx, node, interface)
        new = {key: value for key, value in values.items() if getattr(row, key) != value}
        if "port" in new and any(new["port"] == other.port for other in find.endpoints(tx, node) if other.id != row.id):
            raise Conflict(f"port {new['port']} of {node.name} is taken", f"vpnctl endpoint list {node.name}")
        if new:
            before = {key: getattr(row, key) for key in new}
            told: dict[str, Any] = {"clients_changed_at": app.clock()} if set(new) & set(RENEWS_CLIENTS) else {}
            tx.update(Endpoint, models.endpoint.c.id == row.id, changed_at=app.clock(), proven_at=None, **new, **told)
            events.record(tx, stamp(app), "endpoint.set", ("endpoint", row.id, f"{node.name} {interface}"), before, new)
        concerned = _devices(tx, row) if set(new) & set(RENEWS_CLIENTS) else []
        return find.endpoint(tx, node, interface), node, concerned


def remove(app: App, node_name: str, interface: str, *, revoke: bool = False) -> tuple[Endpoint, list[str]]:
    """Remove an endpoint; return it and the nodes to settle, its own first.

    Its live peers stop it with Conflict unless they are to be revoked.
    """
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        row = find.endpoint(tx, node, interface)
        return row, [node.id, *dissolve(tx, app, node, row, revoke=revoke)]


def dissolve(tx: Tx, app: App, node: Node, row: Endpoint, *, revoke: bool) -> list[str]:
    """Mark an endpoint as removed; the node is told by the next settle. Return further nodes to settle.

    Where a device was on its way here, what it has elsewhere is the device again.
    """
    peers = tx.all(Peer, models.peer.c.endpoint_id == row.id, models.peer.c.revoked_at.is_(None))
    there = sa.select(models.peer.c.user_id).where(models.peer.c.endpoint_id == row.id)
    owners = {each.id: each for each in tx.all(User, models.user.c.id.in_(there))}
    staying = [peer for peer in peers if not _moved(tx, peer)]
    if staying and not revoke:
        names = sorted({f"{owners[peer.user_id].name}/{peer.device}" for peer in staying})
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise Conflict(
            f"devices live on {node.name} {row.interface}: {', '.join(names[:SHOWN])}{more}",
            f"move them first (vpnctl user migrate --all --from {node.name} --to NODE), or give --revoke-peers",
        )
    for peer in peers:
        revoke_rows(tx, app, [peer], owners[peer.user_id].name)
    came = [peer for peer in peers if peer.retiring_at is None]
    back = [each for peer in came for each in reinstate(tx, app, owners[peer.user_id], peer)]
    now = app.clock()
    tx.update(Endpoint, models.endpoint.c.id == row.id, removed_at=now, changed_at=now, proven_at=None)
    events.record(tx, stamp(app), "endpoint.remove", ("endpoint", row.id, f"{node.name} {row.interface}"))
    return sorted({place(tx, peer)[1].id for peer in back})


SHOWN = 5


def _moved(tx: Tx, peer: Peer) -> bool:
    """Return whether a successor elsewhere was delivered: then this one may end."""
    table = models.peer.c
    if peer.retiring_at is None:
        return False
    return tx.one(Peer, table.replaces_id == peer.id, table.delivered_at.is_not(None)) is not None


def _devices(tx: Tx, row: Endpoint) -> list[str]:
    query = (
        sa.select(models.user.c.name, models.peer.c.device)
        .join(models.peer, models.peer.c.user_id == models.user.c.id)
        .where(models.peer.c.endpoint_id == row.id, models.peer.c.revoked_at.is_(None))
        .order_by(models.user.c.name, models.peer.c.device)
    )
    return [f"{name}/{device}" for name, device in tx.execute(query)]


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options in their canonical form."""
    checks: dict[str, Callable[[str], str]] = {
        "interface": grammar.interface,
        "dns": grammar.addresses,
        "allowed_ips": grammar.networks,
        "pool_v4": lambda text: _pool(text, 4),
        "pool_v6": lambda text: "none" if text == "none" else _pool(text, 6),
    }
    canonical: dict[str, Any] = {key: checks[key](value) if key in checks else value for key, value in values.items()}
    limits = {"mtu": (grammar.MIN_MTU, grammar.MAX_MTU), "keepalive": (0, 65535), "port": (1, grammar.MAX_PORT)}
    for key, (low, high) in limits.items():
        if key in canonical and not low <= canonical[key] <= high:
            raise InvalidInput(f"{key} {canonical[key]} is out of range", f"from {low} to {high}")
    if canonical.get("forward_rule", "none") not in FORWARD_RULES:
        raise InvalidInput("that is not a forward rule", f"one of: {', '.join(FORWARD_RULES)}")
    return canonical


def _pool(text: str, version: int) -> str:
    network = grammar.network(text)
    if not network.is_private or network.is_loopback or network.is_multicast or network.is_link_local:
        raise InvalidInput(f"{network} is no private network", "for example 10.66.0.0/16 or fd00:66::/64")
    if network.version != version or addresses.capacity(network) < MIN_PEERS:
        raise InvalidInput(
            f"{network} is not a pool for IPv{version} peers", "for example 10.66.0.0/16 or fd00:66::/64"
        )
    return str(network)


def _pool_v6(values: dict[str, Any]) -> str | None:
    """A random unique local /64 (RFC 4193) unless one is given; `none` leaves v6 of clients without a way out."""
    given = values.get("pool_v6")
    if given is not None:
        return None if given == "none" else str(given)
    digits = secrets.token_hex(5)
    return str(grammar.network(f"fd{digits[:2]}:{digits[2:6]}:{digits[6:]}::/64"))


def _free_pool(there: list[Endpoint], avoid: Sequence[grammar.Network]) -> str:
    """Return 10.66.0.0/16, or the next /16 that no endpoint and no other network of this node overlaps."""
    taken = [*(grammar.network(other.pool_v4) for other in there), *(each for each in avoid if each.version == 4)]  # noqa: PLR2004
    candidates = (grammar.network(f"10.{number}.0.0/16") for number in range(66, 250))
    free = next((str(pool) for pool in candidates if not any(pool.overlaps(other) for other in taken)), None)
    if free is None:
        raise Conflict("no pool is left between 10.66.0.0/16 and 10.249.0.0/16", "name one: --pool 172.20.0.0/16")
    return free


def _free_interface(prefix: str, there: list[Endpoint]) -> str:
    names = {other.interface for other in there}
    return next(name for number in range(1000) if (name := f"{prefix}{number}") not in names)


def _free_port(default: int, there: list[Endpoint]) -> int:
    ports = {other.port for other in there}
    return next(number for number in range(default, grammar.MAX_PORT) if number not in ports)
