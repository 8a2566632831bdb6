"""Taking over a server that somebody else set up: its key, port, addresses and peers become ours.

Nothing of it changes for who is connected: the same keys and addresses are written by vpnctl from now on. A peer
becomes a person's device; one that cannot be written as it is (several networks, an address outside of the pool) stays
a stranger, as it was.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.driving import login
from vpnctl.actions.fleet.endpoints import NewEndpoint
from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people import users
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NodeFailed
from vpnctl.protocols import adopter, plugin
from vpnctl.protocols.foreign import ForeignPeer, ForeignServer, named, with_secrets
from vpnctl.protocols.interface import Credentials
from vpnctl.remote import foreign as remote
from vpnctl.rules import grammar
from vpnctl.store import events, find, models
from vpnctl.store import foreign as databases
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node, Peer, User

_SQLITE = b"SQLite format 3\x00"
_SLUG = re.compile(r"[^a-z0-9_-]+")
_peer, _alien = models.peer.c, models.alien.c


@dataclass(frozen=True)
class AdoptedPeer:
    """A peer that is somebody's device now."""

    device: str
    config: bool
    """Whether its private key is known, so that its file can be shown again."""


@dataclass(frozen=True)
class Adopted:
    """What came of it. `strangers` are public keys of peers that stay what they are, with the reason."""

    endpoint: str
    new: bool
    peers: tuple[AdoptedPeer, ...]
    strangers: tuple[tuple[str, str], ...]
    hooks: tuple[str, ...]
    lifted: tuple[str, ...] = ()
    """Devices that the server itself limited so far."""


def usual_interface(protocol: str) -> str:
    """Return what such a server's interface is called unless told. InvalidInput where none can be adopted."""
    return adopter(protocol).interface


def read(app: App, name: str, interface: str, protocol: str) -> ForeignServer:
    """Read the server as it stands on the node, and the files of clients that its installer left there.

    NodeFailed where its interface would have to be taken down to become ours.
    """
    kind = adopter(protocol)
    with app.store.read() as tx:
        where = login(tx, find.node(tx, name))
    shell = app.connect(where)
    try:
        server = kind.parse(remote.config(shell, name, kind.path(interface)).reveal())
        unit = shell.run(("systemctl", "is-active", kind.unit(interface)), seconds=20)
        if unit.stdout.strip() != b"active":
            raise NodeFailed(
                f"{name}: {interface} was not started by its unit {kind.unit(interface)}, so that could not keep it up",
                kind.cure(interface),
            )
        mtu = shell.run(("cat", f"/sys/class/net/{interface}/mtu"), seconds=20).stdout.strip()
        files = remote.clients(shell, kind.clients)
        known = [pair for each in files if (pair := kind.client(each.reveal())) is not None]
    finally:
        shell.close()
    server = with_secrets(server, dict(known))
    return replace(server, mtu=int(mtu)) if mtu.isdigit() and len(mtu) < 6 else server  # noqa: PLR2004


def from_file(path: Path, port: int, protocol: str) -> ForeignServer:
    """Return the server in a file: another program's data (`port` where that does not say it), or a copy of its own.

    In a folder of another program's, such as AmneziaVPN's, names of peers are in a file beside it.
    """
    kind = adopter(protocol)
    if path.is_dir():
        inside = next((path / each for each in kind.folder if (path / each).is_file()), None)
        if inside is None:
            raise InvalidInput(f"{path} has none of {', '.join(kind.folder)} in it", "see docs/adopting.md")
        server, beside = from_file(inside, port, protocol), path / kind.beside
        if not beside.exists():
            return server
        if _content(beside).startswith(_SQLITE):
            return kind.peopled(server, *databases.tables(beside, kind.tables))
        return named(server, kind.called(_content(beside).decode("utf-8", "replace")))
    raw = _content(path)
    if raw.startswith(_SQLITE):
        return kind.database(*databases.tables(path, kind.tables))
    return kind.data(raw.decode("utf-8", "replace"), grammar.port(str(port)))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", "check the path") from None


def adopt(app: App, name: str, interface: str, server: ForeignServer, protocol: str) -> Done[Adopted]:
    """Make such a server an endpoint of the node, and its peers people's devices. Run again, only what is new."""
    kind = adopter(protocol)
    with app.store.joint() as store:
        here = replace(app, store=store)
        with store.write() as tx:
            node = find.node(tx, name)
            row, new = _endpoint(tx, here, node, (protocol, interface), server)
            there = _known(tx, row)
            fresh = [each for each in server.peers if each.identity not in there]
            taken = {each for each in tx.execute(_used(row)).scalars() if each}
            made, strangers, lifted = [], [], []
            for each in fresh:
                why = kind.unfit(row.options, each, taken)
                if why:
                    strangers.append((each.identity, why))
                    continue
                made.append(adopt_device(tx, here, row, each))
                taken |= {ip.partition("/")[0] for ip in each.allowed_ips[:1]}
                lifted += [made[-1].device] if each.limited else []
            if made or new:
                after = {"interface": interface, "port": row.port, "peers": len(made)}
                events.record(tx, stamp(here), "node.adopt", ("endpoint", row.id, f"{name} {row.name}"), None, after)
                tx.update(Endpoint, models.endpoint.c.id == row.id, changed_at=app.clock(), proven_at=None)
    lines = tuple(row.options.get("hooks") or ())
    return Done(Adopted(row.name, new, tuple(made), tuple(strangers), lines, tuple(lifted)), [node.id])


def _endpoint(tx: Tx, app: App, node: Node, where: tuple[str, str], server: ForeignServer) -> tuple[Endpoint, bool]:
    """Return the endpoint that is this server, and whether it was made just now. `where`: protocol, interface."""
    protocol, interface = where
    for row in find.endpoints(tx, node):
        if row.identity == server.identity:
            return row, False
        if row.name == interface:
            raise Conflict(
                f"{interface} of {node.name} serves with another key than that server's",
                f"vpnctl endpoint remove {node.name} {interface}, if nobody lives there",
            )
    taken = models.endpoint.c.identity == server.identity
    if tx.one(Endpoint, taken, models.endpoint.c.removed_at.is_(None)) is not None:
        raise Conflict("another node serves with that key already", "vpnctl endpoint list")
    options = adopter(protocol).options(server)
    own = Credentials(server.identity, server.secret)
    new = NewEndpoint(protocol, {"interface": interface, "port": server.port}, options, own=own)
    row = endpoints.create(tx, app, node, new)
    kept = {name: value for name, value in options.items() if name not in row.options}
    kept |= {"hooks": list(server.hooks)} if server.hooks else {}
    if kept:
        whole = row.options | kept
        tx.update(Endpoint, models.endpoint.c.id == row.id, options=whole)
        row = replace(row, options=whole)
    return row, True


def _known(tx: Tx, row: Endpoint) -> set[str | None]:
    ours = set(tx.execute(sa.select(_peer.identity).where(_peer.endpoint_id == row.id)).scalars())
    return {*ours, row.probe_identity}


def _used(row: Endpoint) -> sa.Select[Any]:
    return sa.select(_peer.ipv4).where(_peer.endpoint_id == row.id, _peer.ipv4.is_not(None))


def adopt_device(tx: Tx, app: App, row: Endpoint, each: ForeignPeer) -> AdoptedPeer:
    """Make a peer, which is on the node already, somebody's device. Whoever is switched off there is suspended."""
    owner, device = _owner(tx, app, row, each)
    peer_id = str(uuid.uuid4())
    ips = {ipaddress.ip_network(ip).version: ip.partition("/")[0] for ip in each.allowed_ips}
    keep = each.secret is not None and app.settings.client_secrets == "store"
    tx.insert(
        Peer(
            id=peer_id, endpoint_id=row.id, user_id=owner.id, device=device, identity=each.identity, own_key=False,
            secret_sealed=app.vault.seal("peer.secret", peer_id, each.secret) if keep and each.secret else None,
            shared_sealed=app.vault.seal("peer.psk", peer_id, each.shared) if each.shared else None,
            ipv4=ips.get(4), ipv6=ips.get(6), created_at=app.clock(), delivered_at=app.clock(), delivered_how="adopted",
            suspended_at=None if each.enabled else app.clock(),
        )
    )  # fmt: skip
    strange = (_alien.endpoint_id == row.id, _alien.identity == each.identity)
    tx.execute(sa.delete(models.alien).where(*strange))
    label = ("peer", peer_id, f"{owner.name}/{device}")
    events.record(tx, stamp(app), "peer.adopt", label, None, {"public_key": each.identity})
    return AdoptedPeer(f"{owner.name}/{device}", keep or not plugin(row.protocol).supports.client_secret)


def _owner(tx: Tx, app: App, row: Endpoint, each: ForeignPeer) -> tuple[User, str]:
    """Return whose device a peer is, by its name. Somebody of that name who was here before is somebody else.

    Whoever is new is unlimited, or would be cut by it.
    """
    slug = _SLUG.sub("-", each.name.lower()).strip("-_")[:28].strip("-_")
    name = slug or f"peer-{each.identity[:6].lower().translate(str.maketrans('+/=', 'xyz'))}"
    for number in range(1, 10_000):
        wanted = name if number == 1 else f"{name}{number}"
        there = tx.one(User, models.user.c.name == wanted, models.user.c.removed_at.is_(None))
        if there is None:
            details = {"unlimited": True, "display_name": each.name}
            return users.insert(tx, app, [wanted], details, "user.adopt")[0], "main"
        adopted = (_peer.user_id == there.id, _peer.endpoint_id == row.id, _peer.delivered_how == "adopted")
        if tx.execute(sa.select(_peer.id).where(*adopted).limit(1)).first() is not None:
            return there, _free_device(tx, there)
    raise Conflict(f"there are too many people called {name}", "rename some of them")


def _free_device(tx: Tx, owner: User) -> str:
    live = (_peer.user_id == owner.id, _peer.revoked_at.is_(None))
    devices = set(tx.execute(sa.select(_peer.device).where(*live)).scalars())
    return next(each for each in ("main", *(f"main{number}" for number in range(2, 10_000))) if each not in devices)
