"""A lost node comes back on another server, from the database alone: same keys, ports, addresses, parameters, people.

The new server is looked at before anything is changed; then the old one is made to stop serving, where it still
answers; then, in one transaction, the node is the new server. From there on it is settled like any other: killed
anywhere, run it again.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import node_lock, nodes, probes, proof, trust
from vpnctl.actions.fleet.comparison import compare
from vpnctl.actions.fleet.desired import View, load
from vpnctl.actions.fleet.driving import drive, driver, look, proven
from vpnctl.actions.fleet.hostkeys import Confirm
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import Conflict, Distrust, NodeFailed, Unreachable
from vpnctl.remote import hook, names
from vpnctl.remote.driver import ChangeOrder, Driver, Query
from vpnctl.remote.probe import Verdict
from vpnctl.remote.shell import Login
from vpnctl.rules import grammar
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.observed import Observed
from vpnctl.store import events, find, models, queue, restored
from vpnctl.store.rows import Alien, Endpoint, Node, Peer

SETTING = "dns_command"
WHERE = ("host", "port", "login", "host_key", "jump_id")
"""The columns of a node that say which server it is."""
_peer, _endpoint = models.peer.c, models.endpoint.c


class Fenced(StrEnum):
    """What became of the server that was lost."""

    DONE = "stopped"
    """It answered, and was seen to serve nobody any more."""
    SILENT = "no answer"
    OTHER = "another server"
    """Something else has its address now."""
    SPARED = "not contacted"


@dataclass(frozen=True)
class Ready:
    """A new server that was looked at: the node as it will be, and how to log in."""

    old: Node
    new: Node
    devices: int

    @property
    def begun(self) -> bool:
        """Whether the node is that server already: an earlier run came so far."""
        return all(getattr(self.old, each) == getattr(self.new, each) for each in WHERE)


def prepare(app: App, new: nodes.NewNode, confirm: Confirm, public_host: str | None) -> Ready:
    """Get into the new server, and see that the node can live there. Nothing is changed but our key let in there.

    Raises Distrust where somebody else's keys or a token of another controller are on it.
    """
    with app.store.read() as tx:
        node = find.node(tx, new.name)
        restored.refuse(tx, node.id, node.name)
        served = find.endpoints(tx, node)
        view = load(tx, node.id, app.clock())
    if node.kind != "ssh" or any(each.driver != "node" for each in served):
        raise Conflict(
            f"{node.name} is not a server that vpnctl set up by SSH: it is not in the database how it was made",
            "a panel comes back from its own backup, then: vpnctl node sync " + node.name,
        )
    if not served:
        raise Conflict(f"{node.name} serves nothing yet", f"vpnctl node provision {node.name}")
    login, jump = nodes.enter(app, new, confirm)
    with app.store.read() as tx:
        same = (models.node.c.host == login.host, models.node.c.port == login.port, models.node.c.id != node.id)
        other = tx.one(Node, *same, models.node.c.retired_at.is_(None))
    if other is not None and other.jump_id == (jump.id if jump else None):
        raise Conflict(
            f"that server is the node {other.name}", f"name a bare server; or: vpnctl node retire {other.name}"
        )
    row = replace(
        node, host=login.host, port=login.port, login=login.user, host_key=login.host_key,
        jump_id=jump.id if jump else None, public_host=_dialled(node, login, public_host), token=None,
    )  # fmt: skip
    _look_at(app, replace(view, node=row), login)
    return Ready(node, row, sum(1 for reason in view.reasons.values() if reason is None))


def _dialled(node: Node, login: Login, wish: str | None) -> str:
    """What clients dial: a name stays; an address was the old server's, and the new one has another."""
    if wish is not None:
        return grammar.host(wish)
    return login.host if grammar.is_address(node.public_host) and node.public_host == node.host else node.public_host


def _look_at(app: App, view: View, login: Login) -> None:
    """See that it can be made to serve as this node: what settling would meet there raises here."""
    with contextlib.closing(app.connect(login)) as shell, contextlib.closing(driver(app, view, shell)) as way:
        observed = look(app, view, way, Query(SYSTEM, facts=True))
    if observed.facts.get("systemd") != "yes" or observed.facts.get("apt") != "yes":
        raise NodeFailed(f"{login.host} has no systemd or no apt", "install Debian 12 or 13, or Ubuntu 22.04 or 24.04")
    with app.store.read() as tx:
        trust.check_token(tx, view.node, observed)
    compare(app, view, observed, Wish(scope=SYSTEM))


def take_over(app: App, ready: Ready, *, destroyed: bool = False) -> Fenced:
    """Stop the old server, and make the node the new one; nobody settles it in between. Return what became of it.

    `destroyed`: the old machine is gone and not contacted. Else NodeFailed where it goes on serving, Distrust where
    another controller drives it.
    """
    with node_lock.hold(app, ready.old):
        fenced = Fenced.SPARED if destroyed else _fence(app, ready)
        _switch(app, ready, fenced)
    return fenced


def _fence(app: App, ready: Ready) -> Fenced:
    """Make the old server serve nobody any more, and see it: two servers with one key would split sessions."""
    node = ready.old
    if (node.host, node.port, node.jump_id) == (ready.new.host, ready.new.port, ready.new.jump_id):
        return Fenced.OTHER
    with app.store.read() as tx:
        view = load(tx, node.id, app.clock(), people=False)
    ended = tuple(replace(each, removed_at=app.clock()) for each in view.endpoints)
    view = replace(view, endpoints=ended)
    with contextlib.ExitStack() as opened:
        try:
            way = opened.enter_context(drive(app, view))
            observed = look(app, view, way, Query(SYSTEM, proven(view)))
        except Unreachable:
            return _silent(app, node)
        except Distrust:  # another host key
            return Fenced.OTHER
        with app.store.read() as tx:
            trust.check_token(tx, node, observed)
        _stop(app, view, way, observed)
    return Fenced.DONE


def _silent(app: App, node: Node) -> Fenced:
    """A server that lets nobody in may serve all the same: it is tried as clients do."""
    signs = probes.shake_all(app, replace(node, public_host=node.host))
    serving = [name for name, sign in signs.items() if sign is not None and sign.verdict is Verdict.OK]
    if serving:
        raise NodeFailed(
            f"the old server of {node.name} ({node.host}) does not let us in and serves with {', '.join(serving)}",
            f"switch it off at your provider, then: vpnctl node rebuild {node.name} --destroyed --host HOST",
        )
    return Fenced.SILENT


def _stop(app: App, view: View, way: Driver, observed: Observed) -> None:
    what, wish = Query(SYSTEM, proven(view)), Wish(scope=SYSTEM)
    advice = f"switch it off at your provider, then: vpnctl node rebuild {view.node.name} --destroyed --host HOST"
    answers = f"the old server of {view.node.name} ({view.node.host}) answers and could not be stopped"
    found = compare(app, view, observed, wish)
    if not found.changes:
        return
    order = ChangeOrder(found.want, observed, found.changes, proof.prepare(app, view, observed), SYSTEM)
    try:
        applied = way.apply(order, what)
    except Unreachable:
        raise NodeFailed(f"{answers}: the connection broke", advice) from None
    if applied.refused or applied.failed or compare(app, view, applied.observed, wish).changes:
        why = applied.failed or ("something else changes it" if applied.refused else "it is still serving")
        raise NodeFailed(f"{answers}: {why}", advice)


def _switch(app: App, ready: Ready, fenced: Fenced) -> None:
    """Make the node the new server, in one transaction. What was seen on the old one is forgotten, but no decision."""
    old, new, now = ready.old, ready.new, app.clock()
    here = sa.select(_endpoint.id).where(_endpoint.node_id == old.id)
    where = {each: getattr(new, each) for each in (*WHERE, "public_host")}
    forgotten = dict.fromkeys(("token", "boot_id", "last_error", "last_error_code", "path_error", "path_at"))
    renewed: dict[str, Any] = {"digest": None, "proven_at": None, "changed_at": now, "forward_rule": "none"}
    if new.public_host != old.public_host:
        renewed["clients_changed_at"] = now
    with app.store.write() as tx:
        tx.update(Node, models.node.c.id == old.id, **where, **forgotten, fence_at=now)
        tx.update(Endpoint, _endpoint.node_id == old.id, _endpoint.removed_at.is_(None), **renewed)
        tx.update(Endpoint, _endpoint.node_id == old.id, _endpoint.removed_at.is_not(None), proven_at=now)
        tx.update(Peer, _peer.endpoint_id.in_(here), present_at=None)
        tx.update(Alien, models.alien.c.endpoint_id.in_(here), models.alien.c.pruned_at.is_(None), pruned_at=now)
        before = {"host": old.host, "public_host": old.public_host}
        after = {"host": new.host, "public_host": new.public_host, "old_server": str(fenced)}
        events.record(tx, stamp(app), "node.rebuild", ("node", old.id, old.name), before, after)


def leads_there(app: App, node: Node) -> bool:
    """Whether what clients dial leads to the server.

    Where that cannot be seen by addresses, the endpoints must answer: for an address that can move, and for a server
    that is not logged in at where people dial it (behind another node, or a router).
    """
    ours = names.addresses(node.host) or {node.host}
    if node.public_host == node.host or names.addresses(node.public_host) & ours:
        return True
    inside = node.jump_id is not None or all(_private(each) for each in ours)
    if not inside and not grammar.is_address(node.public_host):
        return False
    signs = [sign for sign in probes.shake_all(app, node).values() if sign is not None]
    return bool(signs or not inside) and all(sign.verdict is Verdict.OK for sign in signs)


def _private(address: str) -> bool:
    return grammar.is_address(address) and ipaddress.ip_address(address).is_private


def point(app: App, node: Node) -> bool:
    """Let the operator's own command change the DNS record; return whether there is one. NodeFailed when it fails."""
    command = app.settings.dns_command
    if not command:
        return False
    address = sorted(names.addresses(node.host) or {node.host})[0]
    hook.run((command, node.name, node.public_host, address), SETTING)
    return True


def wait(app: App, what: str, seconds: float, seen: Callable[[], bool], pause: float = 1.0) -> bool:
    """Look again and again until something is seen, at most so long; return whether it was."""
    end = time.monotonic() + seconds
    with app.progress(what, 1):
        while not seen():
            if time.monotonic() >= end:
                return False
            time.sleep(pause)
    return True


def last_heard(app: App, node_id: str, *, read: bool = False) -> datetime | None:
    """Return when any device of a node was last heard of; `read` looks there first."""
    if read:
        settle(app, [node_id], Wish(always=True))
    heard = sa.select(_peer.handshake_at).join(models.endpoint, _endpoint.id == _peer.endpoint_id)
    here = heard.where(_endpoint.node_id == node_id, _peer.handshake_at.is_not(None))
    with app.store.read() as tx:
        found: datetime | None = tx.execute(here.order_by(_peer.handshake_at.desc()).limit(1)).scalar()
        return found


def outdated(app: App, node_id: str) -> list[tuple[str, str]]:
    """Return (id, USER/DEVICE) of each device there whose person holds a file that does not lead there any more."""
    query = (
        sa.select(_peer.id, models.user.c.name, _peer.device)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.user, models.user.c.id == _peer.user_id)
        .where(_endpoint.node_id == node_id, queue.stale())
        .order_by(models.user.c.name, _peer.device)
    )
    with app.store.read() as tx:
        return [(row.id, f"{row.name}/{row.device}") for row in tx.execute(query)]
