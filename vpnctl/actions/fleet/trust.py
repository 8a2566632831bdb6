"""Whether a node may be changed: that it is ours alone, and that nothing of somebody else's is in the way there."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from vpnctl.actions.fleet.desired import View
from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import Conflict, Distrust, InvalidInput, NodeFailed
from vpnctl.protocols.host import TOKEN
from vpnctl.rules.desired import Desired, WantedEndpoint
from vpnctl.rules.grammar import network
from vpnctl.rules.observed import Observed
from vpnctl.store import events, models, restored
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Node

_POOL_BITS = 16
"""A wider network of the server takes no packets from a pool."""
NONE, ODD = "-", "?"
"""What stands for a node without a token, and for one whose token no vpnctl can have written."""


def check_token(tx: Tx, node: Node, observed: Observed) -> bool:
    """Return whether the node was rolled back: it shows an older token of ours than it did, or none any more.

    Raises Distrust when the node is driven by another controller, or our database is an old copy.
    """
    if observed.token == NONE:
        if (node.token is not None or node.kind == HTTPS) and node.id in restored.undecided(tx):
            raise Distrust(
                f"{node.name} cannot tell whether it was changed since the backup; nothing was written",
                "see who would be put there, and decide: vpnctl backup finish",
            )
        return node.token is not None
    if observed.token == ODD:
        raise Distrust(
            f"{node.name}: what stands in {TOKEN} there was not written by any vpnctl; nothing was written",
            f"who wrote it? If nobody else drives the node: rm {TOKEN} there, then vpnctl node sync {node.name}",
        )
    table = models.token.c
    query = sa.select(table.seq).where(table.node_id == node.id)
    shown = tx.execute(query.where(table.value == observed.token)).scalar()
    if shown is None and _of_a_retired_node(tx, observed.token):
        return True
    if shown is None:
        raise Distrust(
            f"{node.name} was changed by another controller, or by a newer copy of this database; nothing was written",
            "see what was changed since the backup, and decide: vpnctl backup finish"
            if node.id in restored.undecided(tx)
            else "use the newest database; if the other one is gone for good: vpnctl node trust "
            f"{node.name} --token {observed.token}",
        )
    proven = tx.execute(query.where(table.value == node.token)).scalar()
    return proven is not None and shown < proven


def adopt_token(app: App, row: Node, token: str) -> None:
    """Take a token that a node shows for one of ours: from now on this database drives it.

    Conflict where it is another node's.
    """
    if not (token.isascii() and token.isalnum() and len(token) <= 40):  # noqa: PLR2004
        raise InvalidInput("that is not a node token", "copy it from the error message")
    with app.store.write() as tx:
        known = tx.execute(sa.select(models.token.c.node_id).where(models.token.c.value == token)).scalar()
        if known not in (None, row.id):
            _refuse_other(tx, row, known)
        if known is None:
            tx.execute(sa.insert(models.token).values(node_id=row.id, value=token, issued_at=app.clock()))
        if known in (None, row.id):  # else it is of a node that was given up: settling takes it over by itself
            tx.update(Node, models.node.c.id == row.id, token=token, fence_at=app.clock())
        events.record(tx, stamp(app), "node.trust", ("node", row.id, row.name), None, {"token": token})


def _refuse_other(tx: Tx, row: Node, node_id: str) -> None:
    """Raise Conflict where a token is that of another node of ours: it is one server under two names."""
    other = tx.one(Node, models.node.c.id == node_id)
    if other is not None and other.retired_at is None:
        raise Conflict(
            f"that is the token of {other.name}: {row.name} and {other.name} are the same server",
            f"vpnctl node retire {row.name} --destroyed forgets it here and leaves the server alone",
        )


def _of_a_retired_node(tx: Tx, token: str) -> bool:
    """A server that was given up as lost came back under another name: nobody but us has driven it."""
    table = models.token.c
    query = sa.select(models.node.c.retired_at).join(models.token, table.node_id == models.node.c.id)
    return tx.execute(query.where(table.value == token)).scalar() is not None


def _given_up(tx: Tx) -> frozenset[str]:
    """Return the identities of endpoints that we served on nodes that are retired."""
    query = sa.select(models.endpoint.c.identity).join(models.node, models.node.c.id == models.endpoint.c.node_id)
    return frozenset(tx.execute(query.where(models.node.c.retired_at.is_not(None))).scalars())


def record_rollback(app: App, node: Node, observed: Observed) -> None:
    """Note once that the node went back in time (a snapshot, a reinstallation); settling heals it."""
    after = {"shows": "no token" if observed.token == NONE else "an older token"}
    with app.store.write() as tx:
        known = None if observed.token == NONE or _of_a_retired_node(tx, observed.token) else observed.token
        tx.update(Node, models.node.c.id == node.id, token=known)
        events.record(tx, stamp(app), "node.rolled_back", ("node", node.id, node.name), None, after)


def check_server_keys(app: App, view: View, want: Desired, observed: Observed) -> Desired:
    """Return what is wanted, without removed endpoints that never were there: what has their name is somebody's own.

    Raise Distrust when the node serves with a key that is not ours: it is never overwritten. A file whose key cannot
    be read is damaged; it is mended where it was proven to be ours before. A key of a node that was given up is ours.
    """
    node = view.node
    proven = {endpoint.id for endpoint in view.endpoints if endpoint.digest is not None}
    with app.store.read() as tx:
        ours = _given_up(tx)
    mine = []
    for one in want.endpoints:
        fine = {"", one.identity, *ours} | ({"unknown"} if one.endpoint_id in proven else set())
        seen = observed.endpoints.get(one.name)
        up = seen is not None and seen.identity not in ("", one.identity, *ours)
        found = observed.files.get(one.config.path)
        key = observed.facts.get(f"key:{one.config.path}", "")
        filed = found is not None and found[0] != one.config.digest and key not in fine
        if (up or filed) and one.removed and one.endpoint_id not in proven:
            continue
        if up:
            raise _foreign(node, one, f"{one.name} is up with another server key", observed)
        if filed:
            raise _foreign(node, one, f"{one.config.path} holds another server key", observed)
        mine.append(one)
    return replace(want, endpoints=tuple(mine))


def check_ports(node: Node, want: Desired, observed: Observed) -> None:
    """Raise NodeFailed when something else listens on a port of ours before our endpoint is up."""
    for one in want.endpoints:
        used = observed.facts.get(f"{one.transport}_ports", "").split()
        if not one.removed and one.name not in observed.endpoints and str(one.port) in used:
            raise NodeFailed(
                f"{node.name}: {one.transport.upper()} port {one.port} is used by another program",
                f"vpnctl endpoint set {node.name} {one.name} --port {_free_port(one, observed)}",
            )


def _foreign(node: Node, one: WantedEndpoint, what: str, observed: Observed) -> Distrust:
    pool = f" --pool {_free_pool(one.interface.routes[0], observed)}" if one.interface else ""
    return Distrust(
        f"{node.name}: {what}; nothing was written",
        f"serve beside it: vpnctl endpoint remove {node.name} {one.name}, then "
        f"vpnctl endpoint add {node.name} {one.protocol} --interface {_free_name(one.name, observed)} "
        f"--port {_free_port(one, observed)}{pool}",
    )


def _free_pool(own: str, observed: Observed) -> str:
    """Return that pool, or one of its size that no network seen on the node overlaps."""
    there = [network(each) for seen in observed.endpoints.values() if seen.interface for each in seen.interface.routes]
    there += [net for _, net in observed.ways.networks] if observed.ways else []
    wide = [net for net in there if net.version == 4 and net.prefixlen >= _POOL_BITS]  # noqa: PLR2004
    pools = (own, *(f"10.{number}.0.0/16" for number in range(66, 250)))
    return next((each for each in pools if not any(network(each).overlaps(net) for net in wide)), own)


def _free_name(taken: str, observed: Observed) -> str:
    """Return a name like that one, which was not seen on the node."""
    stem = taken.rstrip("0123456789")
    return next(name for number in range(7, 1000) if (name := f"{stem}{number}") not in {taken, *observed.endpoints})


def _free_port(one: WantedEndpoint, observed: Observed) -> int:
    """Return a port near that endpoint's on which nothing was seen."""
    used = {one.port, *(seen.port for seen in observed.endpoints.values())}
    used |= {int(each) for each in observed.facts.get(f"{one.transport}_ports", "").split()}
    return next(number for number in range(51830, 65535) if number not in used)
