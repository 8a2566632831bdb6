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
from vpnctl.rules.access import Reason, why_not
from vpnctl.rules.desired import Archive, Desired, Repository
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.people import node_limits, persons, standing
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

    def without_people(self) -> View:
        """Return it without peers and aliens: what is to be looked at does not depend on them."""
        return replace(self, peers=(), aliens=())


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
        order=column.name,
    )
    ids = [endpoint.id for endpoint in endpoints]
    if not people:
        return View(node, tuple(endpoints), (), {}, (), {})
    peers = tx.all(Peer, models.peer.c.endpoint_id.in_(ids), order=models.peer.c.identity)
    people_here = sa.select(models.peer.c.user_id).where(models.peer.c.endpoint_id.in_(ids))
    users = {user.id: user for user in tx.all(User, models.user.c.id.in_(people_here))}
    aliens = tx.all(Alien, models.alien.c.endpoint_id.in_(ids), order=models.alien.c.identity)
    who = persons(tx, list(users.values()), now, people_here)
    limits = node_limits(tx, who, now)
    reasons = {peer.id: why_not(standing(who[peer.user_id], peer, limits), now) for peer in peers}
    owners = {user.id: user.name for user in users.values()}
    return View(node, tuple(endpoints), tuple(peers), reasons, tuple(aliens), owners)


def desired(app: App, view: View, keep: frozenset[str] = frozenset(), *, ipv6: bool = True) -> Desired:
    """Render what the node must have. `keep` are ids of peers that stay although they may not connect (the brake).

    Without `ipv6` the node's kernel does none, and an interface with such addresses would not come up there.
    """
    endpoints = []
    packages: set[tuple[str, str]] = set()
    sealed: list[str] = []
    for endpoint in view.endpoints:
        protocol = plugin(endpoint.protocol)
        own = [peer for peer in view.peers if peer.endpoint_id == endpoint.id]
        live = [peer for peer in own if view.reasons[peer.id] is None or peer.id in keep]
        aliens = [alien for alien in view.aliens if alien.endpoint_id == endpoint.id]
        taken = {f"{peer.ipv4}/32" for peer in live} | {f"{peer.ipv6}/128" for peer in live}
        cut = {peer.identity for peer in own} | {alien.identity for alien in aliens if alien.pruned_at}
        opened = (_openable(app, view, peer, sealed) for peer in live)
        specs = [each for each in opened if each is not None]
        spec = replace(endpoint_spec(endpoint, app.vault, measuring=_measuring(app, endpoint)), ipv6=ipv6)
        others = [
            spec_
            for alien in aliens
            if not alien.pruned_at and (spec_ := _openable_alien(app.vault, alien, taken, sealed)) is not None
        ]
        if not ipv6:
            specs = [replace(each, ipv6=None) for each in specs]
            others = [replace(each, allowed_ips=_only_v4(each.allowed_ips)) for each in others]
        gone = frozenset(cut - {each.identity for each in specs})
        resting = gone & {peer.identity for peer in own if peer.revoked_at is None and peer.retiring_at is None}
        endpoints.append(replace(protocol.wanted(spec, specs, others, gone), resting=resting))
        packages |= set(protocol.packages) if endpoint.removed_at is None else set()
    system = host.system_files() if packages else ()
    served = {each.protocol for each in view.endpoints if each.removed_at is None}
    archives = tuple(_archive(app, each) for name in sorted(served) for each in plugin(name).archives)
    sources = tuple(_repository(app, each) for name in sorted(served) for each in plugin(name).repositories)
    return Desired(tuple(endpoints), system, tuple(sorted(packages)), archives, sources, tuple(sorted(sealed)))


def _archive(app: App, official: Archive) -> Archive:
    """Return where a program comes from: the operator's own source for it, else the official one."""
    own = app.settings.archives.get(official.program)
    return official if own is None else replace(official, builds=tuple((each[0], *own) for each in official.builds))


def _repository(app: App, official: Repository) -> Repository:
    """Return where packages come from: the operator's own copy of the repository, else the makers'."""
    own = app.settings.repositories.get(official.name)
    return official if own is None else replace(official, url=own[0], key_url=own[1], fingerprint=own[2])


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
        sealed.append(f"the alien {alien.identity}")
        return None


def _only_v4(networks: str) -> str:
    return ", ".join(each for each in networks.split(", ") if ":" not in each)


def _measuring(app: App, endpoint: Endpoint) -> bool:
    return endpoint.measuring_until is not None and app.clock() < endpoint.measuring_until


def endpoint_spec(endpoint: Endpoint, vault: Vault | None = None, *, measuring: bool = False) -> EndpointSpec:
    """Return what the renderers need of an endpoint; its secret only when a vault is given."""
    secret = None
    if vault is not None and endpoint.secret_sealed is not None:
        secret = vault.open("endpoint.key", endpoint.id, endpoint.secret_sealed)
    return EndpointSpec(
        id=endpoint.id,
        name=endpoint.name,
        port=endpoint.port,
        options=endpoint.options,
        forward_rule=endpoint.forward_rule,
        identity=endpoint.identity,
        secret=secret,
        removed=endpoint.removed_at is not None,
        probe=_probe(vault, endpoint, measuring=measuring) if vault else None,
    )


def _probe(vault: Vault, endpoint: Endpoint, *, measuring: bool) -> AlienSpec | None:
    if endpoint.probe_identity is None or endpoint.probe_shared_sealed is None:
        return None
    try:
        shared = vault.open(probes.SHARED, endpoint.id, endpoint.probe_shared_sealed)
    except StateTrouble:  # only we shake hands with it: it must keep nobody's change from being made
        return None
    return AlienSpec(endpoint.probe_identity, shared, f"{probes.address(endpoint)}/32" if measuring else "")


def peer_spec(vault: Vault, peer: Peer) -> PeerSpec:
    """Return what the renderers need of a peer."""
    shared = vault.open("peer.psk", peer.id, peer.shared_sealed) if peer.shared_sealed else None
    return PeerSpec(peer.id, peer.identity, shared, peer.ipv4, peer.ipv6)


def _alien_spec(vault: Vault, alien: Alien, taken: set[str]) -> AlienSpec:
    """An alien never takes an address of ours: WireGuard would silently move it there (facts F24)."""
    shared = vault.open("alien.psk", alien.id, alien.shared_sealed) if alien.shared_sealed else None
    ips = [ip.strip() for ip in alien.allowed_ips.split(",")]
    return AlienSpec(alien.identity, shared, ", ".join(ip for ip in ips if ip and ip not in taken))
