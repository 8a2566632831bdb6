"""Issuing peers: where there is room, which address, which keys."""

from __future__ import annotations

import shlex
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import repeat
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import stamp
from vpnctl.actions.people.placing import Place, of_protocol, spare
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, LimitReached
from vpnctl.protocols import plugin
from vpnctl.protocols.own import own
from vpnctl.rules import access, addresses, grammar
from vpnctl.rules.secret import Secret
from vpnctl.store import events, find, models, periods, pooled
from vpnctl.store.engine import Tx
from vpnctl.store.queue import over_limit
from vpnctl.store.rows import Endpoint, Node, Peer, Subscription, User

_CHUNK = 500
QUARANTINE = timedelta(hours=24)
"""An address is not given to somebody else until this long after its peer was seen absent."""


@dataclass(frozen=True)
class Wanted:
    """A peer to be added."""

    user: str
    device: str = "main"
    node: str | None = None
    protocol: str | None = None
    """None: that of the endpoint, else of the plan, of the node, or the first one that is served where it may go."""
    public_key: str | None = None
    """Of the user's own pair."""
    endpoint: str | None = None
    """By name, on the named node."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the device has otherwise than the endpoint."""


@dataclass(frozen=True)
class Issued:
    """A peer that now exists in the database, with its secrets if we made them, whatever is stored."""

    user: User
    peer: Peer
    endpoint: Endpoint
    node: Node
    secret: Secret | None
    shared: Secret | None
    elsewhere: tuple[str, ...] = ()
    """Further nodes that are concerned, by id."""

    @property
    def forgotten(self) -> bool:
        """Whether its client's secret was made here and not kept: then nothing can be handed out."""
        needed = plugin(self.endpoint.protocol).supports.client_secret
        return needed and self.secret is None and not self.peer.own_key

    @property
    def node_ids(self) -> list[str]:
        """The nodes to settle."""
        return [self.node.id, *self.elsewhere]


def issue(tx: Tx, app: App, wanted: Sequence[Wanted]) -> list[Issued]:
    """Add peers inside a transaction. Raises NotFound, or Conflict: taken device name, device limit, full pool."""
    room = Room(tx, app)
    room.prepare([wish.user for wish in wanted])
    issued = []
    for wish in wanted:
        owner = room.user(wish.user)
        device = grammar.name(wish.device, "device name")
        room.claim(owner, device)
        where = room.endpoint(wish)
        made = mint(app, owner, device, where, room.addresses(where[0]), wish.public_key)
        if wish.options:
            options = own(plugin(where[0].protocol), where[0].options, wish.options)
            made = replace(made, peer=replace(made.peer, options=options))
        issued.append(made)
    refuse_known_keys(tx, [each for each, wish in zip(issued, wanted, strict=True) if wish.public_key])
    tx.insert_all([each.peer for each in issued])
    events.record_all(
        tx,
        stamp(app),
        "peer.add",
        [
            (("peer", each.peer.id, f"{each.user.name}/{each.peer.device}"), None, {"node": each.node.name})
            for each in issued
        ],
    )
    return issued


class Room:
    """What there is room for, read once for many peers."""

    def __init__(self, tx: Tx, app: App) -> None:
        self._tx = tx
        self._app = app
        self._users: dict[str, User] = {}
        self._devices: dict[str, list[str]] = {}
        self._endpoints: list[Place] = []
        self._load: Counter[str] = Counter()
        self._free: dict[str, tuple[Iterator[str | None], Iterator[str | None]]] = {}
        self._terms: dict[str, Subscription | None] = {}
        self._closed: set[str] | None = None
        self._named: dict[str, Node] = {}

    def prepare(self, names: Sequence[str]) -> None:
        """Read many users and their devices at once; a single one is read when it is asked for."""
        wanted = sorted(set(names)) if len(names) > 1 else []
        users, peers = models.user.c, models.peer.c
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            found = self._tx.all(User, users.name.in_(part), users.removed_at.is_(None))
            self._users |= {user.name: user for user in found}
            self._devices |= {user.id: [] for user in found}
            live = (peers.revoked_at.is_(None), peers.retiring_at.is_(None))
            query = sa.select(peers.user_id, peers.device).where(peers.user_id.in_([user.id for user in found]), *live)
            for user_id, device in self._tx.execute(query):
                self._devices[user_id].append(device)

    def user(self, name: str) -> User:
        if name not in self._users:
            self._users[name] = find.user(self._tx, name)
        return self._users[name]

    def claim(self, owner: User, device: str) -> None:
        """Refuse a device name in use and a user at the limit."""
        devices = self.free_name(owner, device)
        limit = self._limit(owner)
        if limit is not None and len(devices) >= limit:
            raise LimitReached(
                f"{owner.name} has {len(devices)} of {limit} devices",
                f"vpnctl user set {owner.name} --devices N, or revoke one of: {', '.join(sorted(devices))}",
            )
        devices.append(device)

    def free_name(self, owner: User, device: str) -> list[str]:
        """Refuse a device name in use; return the user's devices."""
        if owner.id not in self._devices:
            table = models.peer.c
            where = (table.user_id == owner.id, table.revoked_at.is_(None), table.retiring_at.is_(None))
            self._devices[owner.id] = list(self._tx.execute(sa.select(table.device).where(*where)).scalars())
        devices = self._devices[owner.id]
        if device in devices:
            raise Conflict(
                f"{owner.name}/{device} exists already",
                f"another name: --device NAME   a new key for it: vpnctl peer regen {owner.name}/{device}",
            )
        return devices

    def _limit(self, owner: User) -> int | None:
        """Return how many devices are allowed: the user's own limit, else the plan's."""
        terms = self.terms(owner)
        return owner.device_limit if owner.device_limit is not None else terms.devices if terms else None

    def terms(self, owner: User) -> Subscription | None:
        """Return the subscription that covers now, None for who is unlimited or has none."""
        if owner.unlimited:
            return None
        if owner.id not in self._terms:
            rows = periods.of(self._tx, owner)
            self._terms[owner.id] = periods.covering(rows, self._app.clock())
        return self._terms[owner.id]

    def endpoint(self, wish: Wanted) -> Place:
        """Return where the peer goes: on the named node, else on the one with most room."""
        there = self._places(wish)
        terms = self.terms(self.user(wish.user))
        if terms is not None and terms.locations and there:
            there = [pair for pair in there if access.serves(terms.locations, pair[1].name, pair[1].region)]
            if not there:
                raise Conflict(
                    f"plan {terms.plan} of {wish.user} is for {', '.join(terms.locations)} only",
                    f"a node there: vpnctl node set NODE --region {shlex.quote(terms.locations[0])}   "
                    "or another plan: vpnctl plan list",
                )
        planned = terms.protocol if terms is not None and wish.endpoint is None else None
        choices = of_protocol(self._open(there, wish), wish.protocol, wish.node, planned)
        # A node through which packets were not seen to pass comes last: it takes somebody only when there is no other.
        best = max(
            choices,
            key=lambda pair: (pair[1].path_error is None, spare(pair[1], self._load[pair[1].id]), pair[1].name),
        )
        self._load[best[1].id] += 1
        return best

    def _open(self, there: list[Place], wish: Wanted) -> list[Place]:
        """Leave out nodes that take no more devices because their own traffic is used up. Conflict for a named one."""
        if self._closed is None:
            closed = over_limit(self._app.clock()).where(models.node.c.traffic_action != "warn")
            self._closed = set(self._tx.execute(closed).scalars())
        left = [pair for pair in there if pair[1].id not in self._closed]
        if wish.node is not None and there and not left:
            raise Conflict(
                f"the traffic of {wish.node} is used up for this month, and it takes no more devices",
                f"another node, or: vpnctl node set {wish.node} --traffic-action warn",
            )
        return left

    def _places(self, wish: Wanted) -> list[Place]:
        """Return where it may go, whatever is spoken there."""
        if not self._endpoints:
            self._read_endpoints()
        if wish.node is None:
            if wish.endpoint is not None:
                raise InvalidInput("an endpoint is on a node", "--node NODE --endpoint NAME")
            return [pair for pair in self._endpoints if pair[1].draining_at is None]
        if wish.node not in self._named:
            self._named[wish.node] = find.node(self._tx, wish.node)
        node = self._named[wish.node]
        if wish.endpoint is None:
            return [pair for pair in self._endpoints if pair[1].id == node.id]
        one = find.endpoint(self._tx, node, wish.endpoint)
        if wish.protocol not in (None, one.protocol):
            raise Conflict(f"{one.name} of {node.name} is {one.protocol}", "leave --protocol out, or name another one")
        return [(one, node)]

    def _read_endpoints(self) -> None:
        table = models.node.c
        nodes = {node.id: node for node in self._tx.all(Node, table.retired_at.is_(None))}
        for endpoint in self._tx.all(Endpoint, models.endpoint.c.removed_at.is_(None), order=models.endpoint.c.name):
            if endpoint.node_id in nodes:
                self._endpoints.append((endpoint, nodes[endpoint.node_id]))
        live = sa.select(models.endpoint.c.node_id, sa.func.count()).join(
            models.peer, models.peer.c.endpoint_id == models.endpoint.c.id
        )
        for node_id, count in self._tx.execute(
            live.where(models.peer.c.revoked_at.is_(None)).group_by(models.endpoint.c.node_id)
        ):
            self._load[node_id] = count

    def addresses(self, endpoint: Endpoint) -> tuple[str | None, str | None]:
        """Return the next free address pair of the endpoint's pools; None for a family that has none."""
        if endpoint.id not in self._free:
            pools = plugin(endpoint.protocol).pools(endpoint.options)
            taken = pooled.taken(self._tx, endpoint, self._app.clock() - QUARANTINE) if pools else {}
            if pools.own_v4:
                taken[4].add(pools.own_v4)
            self._free[endpoint.id] = (
                addresses.free(pools.v4, taken[4]) if pools.v4 else repeat(None),
                addresses.free(pools.v6, taken[6]) if pools.v6 else repeat(None),
            )
        v4, v6 = self._free[endpoint.id]
        return next(v4), next(v6)


def mint(
    app: App,
    owner: User,
    device: str,
    where: Place,
    pair: tuple[str | None, str | None],
    public_key: str | None,
) -> Issued:
    """Make keys and the row of a new peer with this pair of addresses. Nothing is written."""
    endpoint, node = where
    peer_id = str(uuid.uuid4())
    made = plugin(endpoint.protocol).issue(public_key)
    keep = made.secret is not None and app.settings.client_secrets == "store"
    peer = Peer(
        id=peer_id,
        endpoint_id=endpoint.id,
        user_id=owner.id,
        device=device,
        identity=made.identity,
        own_key=public_key is not None,
        secret_sealed=app.vault.seal("peer.secret", peer_id, made.secret) if keep and made.secret else None,
        shared_sealed=app.vault.seal("peer.psk", peer_id, made.shared) if made.shared else None,
        ipv4=pair[0],
        ipv6=pair[1],
        created_at=app.clock(),
    )
    return Issued(owner, peer, endpoint, node, made.secret, made.shared)


def refuse_known_keys(tx: Tx, issued: Sequence[Issued]) -> None:
    """A key that was here before, revoked or alien, does not come back under another name."""
    for each in issued:
        for table in (models.peer.c, models.alien.c):
            same = (table.endpoint_id == each.endpoint.id, table.identity == each.peer.identity)
            if tx.execute(sa.select(table.id).where(*same)).first() or each.peer.identity == each.endpoint.identity:
                raise Conflict("that public key is or was in use on this node", "make a new key pair")
