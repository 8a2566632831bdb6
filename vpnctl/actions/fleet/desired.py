"""From rows to what a node must look like. Everything is read in one transaction; nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from vpnctl.actions.fleet import probes
from vpnctl.app import App
from vpnctl.errors import StateTrouble
from vpnctl.protocols import host, plugin
from vpnctl.protocols.interface import AlienSpec, EndpointSpec, PeerSpec
from vpnctl.remote.shell import Login
from vpnctl.rules.access import Reason, why_not
from vpnctl.rules.desired import Desired
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.people import persons, standing
from vpnctl.store.rows import Alien, Endpoint, Node, Peer, User
from vpnctl.store.vault import Vault


@dataclass(frozen=True)
class View:
    """All rows that concern one node, and for each peer why it may not connect (None: it may)."""

    node: Node
    endpoints: tuple[Endpoint, ...]
    peers: tuple[Peer, ...]
    reasons: dict[str, Reason | None]
    aliens: tuple[Alien, ...]
    owners: dict[str, str]
    """User id -> name, for labels."""


def load(tx: Tx, node_id: str, now: datetime, *, people: bool = True) -> View:
    """Return the rows of a node. Removed endpoints stay in it until their removal was proven.

    Without `people`, peers and aliens are left out: enough to know what to look at.
    """
    node = tx.one(Node, models.node.c.id == node_id)
    assert node is not None  # noqa: S101 - ids never go away
    column = models.endpoint.c
    endpoints = tx.all(
        Endpoint,
        column.node_id == node_id,
        sa.or_(column.removed_at.is_(None), column.proven_at.is_(None)),
        order=column.interface,
    )
    ids = [endpoint.id for endpoint in endpoints]
    if not people:
        return View(node, tuple(endpoints), (), {}, (), {})
    peers = tx.all(Peer, models.peer.c.endpoint_id.in_(ids), order=models.peer.c.public_key)
    people_here = sa.select(models.peer.c.user_id).where(models.peer.c.endpoint_id.in_(ids))
    users = {user.id: user for user in tx.all(User, models.user.c.id.in_(people_here))}
    aliens = tx.all(Alien, models.alien.c.endpoint_id.in_(ids), order=models.alien.c.public_key)
    who = persons(tx, list(users.values()), now, people_here)
    reasons = {peer.id: why_not(standing(who[peer.user_id], peer), now) for peer in peers}
    owners = {user.id: user.name for user in users.values()}
    return View(node, tuple(endpoints), tuple(peers), reasons, tuple(aliens), owners)


def login(tx: Tx, node: Node) -> Login:
    """Return how to log in at a node, through other nodes where that is so."""
    via = None
    if node.jump_id is not None:
        jump = tx.one(Node, models.node.c.id == node.jump_id)
        assert jump is not None  # noqa: S101 - a foreign key
        via = login(tx, jump)
    return Login(node.name, node.kind, node.host, node.port, node.login, node.host_key, via)


def desired(app: App, view: View, keep: frozenset[str] = frozenset(), *, ipv6: bool = True) -> Desired:
    """Render what the node must have. `keep` are ids of peers that stay although they may not connect (the brake).

    Without `ipv6` the node's kernel does none, and an interface with such addresses would not come up there.
    """
    links = []
    packages: set[tuple[str, str]] = set()
    sealed: list[str] = []
    for endpoint in view.endpoints:
        protocol = plugin(endpoint.protocol)
        own = [peer for peer in view.peers if peer.endpoint_id == endpoint.id]
        live = [peer for peer in own if view.reasons[peer.id] is None or peer.id in keep]
        aliens = [alien for alien in view.aliens if alien.endpoint_id == endpoint.id]
        taken = {f"{peer.ipv4}/32" for peer in live} | {f"{peer.ipv6}/128" for peer in live}
        cut = {peer.public_key for peer in own} | {alien.public_key for alien in aliens if alien.pruned_at}
        opened = (_openable(app, view, peer, sealed) for peer in live)
        specs = [each for each in opened if each is not None]
        spec = endpoint_spec(endpoint, app.vault, measuring=_measuring(app, endpoint))
        others = [
            spec_
            for alien in aliens
            if not alien.pruned_at and (spec_ := _openable_alien(app.vault, alien, taken, sealed)) is not None
        ]
        if not ipv6:
            spec = replace(spec, pool_v6=None)
            specs = [replace(each, ipv6=None) for each in specs]
            others = [replace(each, allowed_ips=_only_v4(each.allowed_ips)) for each in others]
        links.append(
            protocol.link(
                spec,
                specs,
                others,
                frozenset(cut - {spec.public_key for spec in specs}),
            )
        )
        packages |= set(protocol.packages) if endpoint.removed_at is None else set()
    system = host.system_files() if packages else ()
    return Desired(tuple(links), system, tuple(sorted(packages)), tuple(sorted(sealed)))


def _openable(app: App, view: View, peer: Peer, sealed: list[str]) -> PeerSpec | None:
    """Return a peer to render; one whose secrets do not open costs that peer alone, and is named in `sealed`."""
    try:
        return peer_spec(app.vault, peer)
    except StateTrouble:
        sealed.append(f"{view.owners.get(peer.user_id, peer.user_id)}/{peer.device}")
        return None


def _openable_alien(vault: Vault, alien: Alien, taken: set[str], sealed: list[str]) -> AlienSpec | None:
    try:
        return _alien_spec(vault, alien, taken)
    except StateTrouble:
        sealed.append(f"the alien {alien.public_key}")
        return None


def _only_v4(networks: str) -> str:
    return ", ".join(each for each in networks.split(", ") if ":" not in each)


def _measuring(app: App, endpoint: Endpoint) -> bool:
    return endpoint.measuring_until is not None and app.clock() < endpoint.measuring_until


def endpoint_spec(endpoint: Endpoint, vault: Vault | None = None, *, measuring: bool = False) -> EndpointSpec:
    """Return what the renderers need of an endpoint; the private key only when a vault is given."""
    return EndpointSpec(
        id=endpoint.id,
        interface=endpoint.interface,
        port=endpoint.port,
        pool_v4=endpoint.pool_v4,
        pool_v6=endpoint.pool_v6,
        dns=endpoint.dns,
        mtu=endpoint.mtu,
        allowed_ips=endpoint.allowed_ips,
        keepalive=endpoint.keepalive,
        isolation=endpoint.isolation,
        forward_rule=endpoint.forward_rule,
        public_key=endpoint.public_key,
        private_key=vault.open("endpoint.key", endpoint.id, endpoint.key_sealed) if vault else None,
        removed=endpoint.removed_at is not None,
        probe=_probe(vault, endpoint, measuring=measuring) if vault else None,
    )


def _probe(vault: Vault, endpoint: Endpoint, *, measuring: bool) -> AlienSpec | None:
    if endpoint.probe_public is None or endpoint.probe_psk_sealed is None:
        return None
    try:
        psk = vault.open(probes.PSK, endpoint.id, endpoint.probe_psk_sealed)
    except StateTrouble:  # only we shake hands with it: it must keep nobody's change from being made
        return None
    return AlienSpec(endpoint.probe_public, psk, f"{probes.address(endpoint)}/32" if measuring else "")


def peer_spec(vault: Vault, peer: Peer) -> PeerSpec:
    """Return what the renderers need of a peer."""
    psk = vault.open("peer.psk", peer.id, peer.psk_sealed) if peer.psk_sealed else None
    return PeerSpec(peer.id, peer.public_key, psk, peer.ipv4 or "", peer.ipv6)


def _alien_spec(vault: Vault, alien: Alien, taken: set[str]) -> AlienSpec:
    """An alien never takes an address of ours: WireGuard would silently move it there (facts F24)."""
    psk = vault.open("alien.psk", alien.id, alien.psk_sealed) if alien.psk_sealed else None
    ips = [ip.strip() for ip in alien.allowed_ips.split(",")]
    return AlienSpec(alien.public_key, psk, ", ".join(ip for ip in ips if ip and ip not in taken))
