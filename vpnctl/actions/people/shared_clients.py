"""Clients that the keeper of a panel put into it become people's devices: same names, same secrets, same links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vpnctl.actions.fleet.desired import load
from vpnctl.actions.fleet.driving import drive, look, proven
from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people.adoption import Adopted, adopt_device
from vpnctl.app import App
from vpnctl.protocols import client_adopter
from vpnctl.protocols.foreign import ClientAdopter, ForeignPeer
from vpnctl.remote.driver import Query
from vpnctl.rules.changes import PEOPLE
from vpnctl.rules.observed import Observed, SeenPeer
from vpnctl.rules.secret import Secret
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Peer


def shared(app: App, name: str) -> bool:
    """Return whether a node's endpoints are somebody else's, who put clients of their own there."""
    with app.store.read() as tx:
        return any(client_adopter(each.protocol) for each in find.endpoints(tx, find.node(tx, name)))


def read(app: App, name: str) -> Observed:
    """Read who is there. Raises what the way to the node raises."""
    with app.store.read() as tx:
        view = load(tx, find.node(tx, name).id, app.clock())
    with drive(app, view) as way:
        return look(app, view, way, Query(PEOPLE, proven(view)))


def adopt(app: App, name: str, found: Observed) -> Done[Adopted]:
    """Make devices of the clients that are nobody's. Limits that the panel had for them end with it.

    Who is switched off there, or was cut by such a limit, is suspended.
    """
    made, strangers, lifted = [], [], []
    with app.store.joint() as store:
        here = replace(app, store=store)
        with store.write() as tx:
            node = find.node(tx, name)
            rows = {each.name: each for each in find.endpoints(tx, node) if client_adopter(each.protocol)}
            for row, kind, peer in _nobodys(tx, rows.values(), found):
                several = sum(peer.identity in each.peers for each in found.endpoints.values()) > 1
                why = "it is in several inbounds" if several else kind.unfit(row.options, peer)
                if why:
                    strangers.append((peer.identity, why))
                    continue
                made.append(adopt_device(tx, here, row, _foreign(peer)))
                lifted += [made[-1].device] if kind.lifts(peer) else []
            if made:
                after = {"peers": len(made)}
                events.record(tx, stamp(here), "node.adopt", ("node", node.id, node.name), None, after)
    return Done(Adopted(", ".join(rows), False, tuple(made), tuple(strangers), (), tuple(lifted)), [node.id])


def _nobodys(tx: Tx, rows: Iterable[Endpoint], found: Observed) -> Iterator[tuple[Endpoint, ClientAdopter, SeenPeer]]:
    for row in rows:
        kind, seen = client_adopter(row.protocol), found.endpoints.get(row.name)
        if kind is None or seen is None:
            continue
        ours = {each.identity for each in tx.all(Peer, models.peer.c.endpoint_id == row.id)}
        yield from ((row, kind, peer) for identity, peer in sorted(seen.peers.items()) if identity not in ours)


def _foreign(peer: SeenPeer) -> ForeignPeer:
    secret = peer.shared if isinstance(peer.shared, Secret) else None
    return ForeignPeer(peer.identity, secret, (), peer.identity, enabled=peer.enabled)
