"""Verbs on endpoints: one protocol on one node."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import probes
from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people.peers import place, reinstate, revoke_rows
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols import names, plugin
from vpnctl.protocols.interface import BadOption, Credentials, ProtocolPlugin
from vpnctl.protocols.own import own
from vpnctl.rules import grammar
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node, Peer, User

FORWARD_RULES = ("none", "docker", "ufw", "iptables")
GENERAL = ("interface", "port", "forward_rule")
"""What every endpoint has; everything else that is given is an option of its protocol."""


@dataclass(frozen=True)
class NewEndpoint:
    """An endpoint to be added; values are checked ones, and what is missing gets its default."""

    protocol: str
    general: Mapping[str, Any]
    options: Mapping[str, Any]
    avoid: Sequence[grammar.Network] = ()
    """Networks beside which its pools are picked."""
    own: Credentials | None = None
    """Of a server that was there before; else they are made."""


def add(
    app: App, node_name: str, protocol: str, given: Mapping[str, Any], avoid: Sequence[grammar.Network] = ()
) -> Done[Endpoint]:
    """Add an endpoint from what is given and not None. Raises Conflict when its name or port is taken."""
    new = NewEndpoint(protocol, general(given), plugin(protocol).checked(_options(given)), avoid)
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        _refuse_twice(node, find.endpoints(tx, node), new)
        return Done(create(tx, app, node, new), [node.id])


@dataclass(frozen=True)
class Revised:
    """An endpoint after a change: which options are new, and which devices (`USER/DEVICE`) need a new file."""

    endpoint: Endpoint
    options: tuple[str, ...]
    devices: tuple[str, ...]


def protocols() -> tuple[str, ...]:
    """Return the protocols that an endpoint may have."""
    return names()


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None and name not in GENERAL}


def _refuse_twice(node: Node, there: list[Endpoint], new: NewEndpoint) -> None:
    """Where one was added that never came up, trying again is a sync: a second one would stand beside it."""
    for other in there:
        if other.protocol == new.protocol and other.proven_at is None and not new.general.get("interface"):
            raise Conflict(
                f"{node.name} has {other.name} of {plugin(other.protocol).title} already, which was never seen to work",
                f"vpnctl node sync {node.name} tries that again; a second one: --interface NAME",
            )


def create(tx: Tx, app: App, node: Node, new: NewEndpoint) -> Endpoint:
    """Add an endpoint inside a transaction."""
    kind = plugin(new.protocol)
    there = find.endpoints(tx, node)
    name = new.general.get("interface") or _free_name(kind.name_prefix, there)
    port = new.general.get("port") or _free_port(kind, there)
    _refuse_taken(node, there, kind, name, port)
    own = new.own or kind.server()
    endpoint_id = str(uuid.uuid4())
    options = kind.complete(new.options, [other.options for other in there], new.avoid)
    row = Endpoint(
        id=endpoint_id,
        node_id=node.id,
        protocol=new.protocol,
        name=name,
        port=port,
        forward_rule=new.general.get("forward_rule", "none"),
        options=options,
        identity=own.identity,
        secret_sealed=app.vault.seal("endpoint.key", endpoint_id, own.secret) if own.secret else None,
        **probes.fresh(app.vault, new.protocol, endpoint_id, options),
        changed_at=app.clock(),
        created_at=app.clock(),
        transport=kind.transport,
        driver=kind.driver,
    )
    tx.insert(row)
    after = {"protocol": row.protocol, "port": port, **row.options}
    events.record(tx, stamp(app), "endpoint.add", ("endpoint", row.id, f"{node.name} {name}"), None, after)
    return row


def _refuse_taken(node: Node, there: list[Endpoint], kind: ProtocolPlugin, name: str, port: int) -> None:
    for other in there:
        if other.name == name or (other.port, other.transport) == (port, kind.transport):
            what = f"interface {name}" if other.name == name else f"port {port}"
            raise Conflict(
                f"{what} of {node.name} is taken by its {other.protocol} endpoint", f"vpnctl endpoint list {node.name}"
            )
        if other.driver != kind.driver:
            raise Conflict(
                f"{node.name} is driven another way than {kind.name} needs", "add the other way in as a node of its own"
            )


def change(app: App, node_name: str, name: str, given: Mapping[str, Any]) -> Done[Revised]:
    """Change what is given and not None."""
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        row = find.endpoint(tx, node, name)
        values = {**general(given), **plugin(row.protocol).checked(_options(given))}
        if values and row.driver == "panel":
            raise InvalidInput(
                f"{node.name} {row.name} is what its panel makes of it",
                f"change it there, then: vpnctl node provision {node.name}",
            )
        changed, concerned = revise(tx, app, node, row, values)
        return Done(Revised(find.endpoint(tx, node, name), tuple(changed), tuple(concerned)), [node.id])


def cut_off_by(tx: Tx, row: Endpoint, given: Mapping[str, Any]) -> list[str]:
    """Return the devices (`USER/DEVICE`) that such a change would cut off until they get a new file."""
    kind = plugin(row.protocol)
    was = {"port": row.port, **row.options}
    new = kind.checked(_options(given)) | {name: value for name, value in given.items() if name == "port"}
    cuts = any(value is not None and name in kind.must_match and was.get(name) != value for name, value in new.items())
    return _devices(tx, row) if cuts else []


def revise(tx: Tx, app: App, node: Node, row: Endpoint, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Change an endpoint inside a transaction to these checked values; return (what is new, devices for a new file)."""
    kind = plugin(row.protocol)
    was = {"port": row.port, "forward_rule": row.forward_rule, **row.options}
    new = {name: value for name, value in values.items() if name != "interface" and was.get(name) != value}
    fixed = sorted(new.keys() & kind.fixed)
    if fixed:
        raise InvalidInput(f"{node.name} {row.name}: {fixed[0]} of an endpoint does not change", "add another endpoint")
    if not new:
        return new, []
    others = [other for other in find.endpoints(tx, node) if other.id != row.id]
    if any((other.port, other.transport) == (new.get("port"), row.transport) for other in others):
        raise Conflict(f"port {new['port']} of {node.name} is taken", f"vpnctl endpoint list {node.name}")
    now, renews = app.clock(), bool(new.keys() & kind.renews_clients)
    columns: dict[str, Any] = {name: new[name] for name in ("port", "forward_rule") if name in new}
    options = {name: value for name, value in new.items() if name not in columns}
    columns["options"] = kind.fitting(row.options | options)
    _refuse_unfitting(tx, row, columns["options"])
    columns |= {"clients_changed_at": now} if renews else {}
    tx.update(Endpoint, models.endpoint.c.id == row.id, changed_at=now, proven_at=None, **columns)
    before = {name: was.get(name) for name in new}
    events.record(tx, stamp(app), "endpoint.set", ("endpoint", row.id, f"{node.name} {row.name}"), before, new)
    return new, _devices(tx, row) if renews else []


def _refuse_unfitting(tx: Tx, row: Endpoint, options: Mapping[str, Any]) -> None:
    """Options of an endpoint must fit what devices on it have of their own."""
    table = models.peer.c
    live = (
        table.endpoint_id == row.id,
        table.revoked_at.is_(None),
        table.retiring_at.is_(None),  # nobody gets a new config of one that is being replaced
        table.options.is_not(None),
    )
    for peer in tx.all(Peer, *live, order=table.device):
        try:
            own(plugin(row.protocol), options, peer.options or {})
        except BadOption as error:
            owner = tx.one(User, models.user.c.id == peer.user_id)
            name = f"{owner.name if owner else peer.user_id}/{peer.device}"
            theirs = [error.option] if error.option in (peer.options or {}) else sorted(peer.options or {})
            raise Conflict(
                f"that would not fit what {name} has of its own ({', '.join(theirs)}): {error.option}: {error.why}",
                f"vpnctl peer set {name} {' '.join(f'--unset {each}' for each in theirs)}",
            ) from None


def remove(app: App, node_name: str, name: str, *, revoke: bool = False) -> Done[Endpoint]:
    """Remove an endpoint. Its live peers stop it with Conflict unless they are to be revoked."""
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        row = find.endpoint(tx, node, name)
        return Done(row, [node.id, *dissolve(tx, app, node, row, revoke=revoke)])


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
            f"devices live on {node.name} {row.name}: {', '.join(names[:SHOWN])}{more}",
            f"move them first (vpnctl user migrate --all --from {node.name} --to NODE), or give --revoke-peers",
        )
    for peer in peers:
        revoke_rows(tx, app, [peer], owners[peer.user_id].name)
    came = [peer for peer in peers if peer.retiring_at is None]
    back = [each for peer in came for each in reinstate(tx, app, owners[peer.user_id], peer)]
    now = app.clock()
    tx.update(Endpoint, models.endpoint.c.id == row.id, removed_at=now, changed_at=now, proven_at=None)
    events.record(tx, stamp(app), "endpoint.remove", ("endpoint", row.id, f"{node.name} {row.name}"))
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
    return list(dict.fromkeys(f"{name}/{device}" for name, device in tx.execute(query)))


def general(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every endpoint has, in its canonical form, of what is given and not None."""
    values = {name: given[name] for name in GENERAL if given.get(name) is not None}
    if "interface" in values:
        values["interface"] = grammar.interface(values["interface"])
    if "port" in values and not 1 <= values["port"] <= grammar.MAX_PORT:
        raise InvalidInput(f"port {values['port']} is out of range", f"from 1 to {grammar.MAX_PORT}")
    if values.get("forward_rule", "none") not in FORWARD_RULES:
        raise InvalidInput("that is not a forward rule", f"one of: {', '.join(FORWARD_RULES)}")
    return values


def _free_name(prefix: str, there: list[Endpoint]) -> str:
    names = {other.name for other in there}
    return next(name for number in range(1000) if (name := f"{prefix}{number}") not in names)


def _free_port(kind: ProtocolPlugin, there: list[Endpoint]) -> int:
    ports = {other.port for other in there if other.transport == kind.transport}
    return next(number for number in range(kind.default_port, grammar.MAX_PORT) if number not in ports)
