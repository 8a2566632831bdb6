"""Verbs on nodes: get in and pin, change details, trust anew, retire."""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from vpnctl.actions.fleet.desired import load
from vpnctl.actions.fleet.driving import drive, look
from vpnctl.actions.fleet.driving import login as login_of
from vpnctl.actions.fleet.hostkeys import Confirm, Vouch, pinned
from vpnctl.actions.fleet.trust import adopt_token
from vpnctl.actions.outcome import Done, stamp
from vpnctl.app import SSH_KEY, SSH_PUBLIC, App
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols import plugin
from vpnctl.remote import enroll
from vpnctl.remote.driver import Query
from vpnctl.remote.shell import Login
from vpnctl.rules import grammar, sizes
from vpnctl.rules.changes import PEOPLE
from vpnctl.rules.secret import Secret
from vpnctl.store import events, find, models, restored
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Endpoint, Node
from vpnctl.store.vault import NIL

MAX_CAPACITY = 1_000_000
TRAFFIC_ACTIONS = ("warn", "close", "stop")
"""What may follow when a node's own traffic is used up; see `rows.Node`."""


@dataclass(frozen=True)
class NewNode:
    """A server to be added."""

    name: str
    target: str | None
    """`[USER@]HOST[:PORT]`, or None for the machine itself."""
    host_key_fp: str | None = None
    known_hosts: str | None = None
    """The text of a known_hosts file."""
    jump: str | None = None
    means: enroll.Means = field(default_factory=enroll.Means)
    details: dict[str, Any] = field(default_factory=dict)


def add(app: App, new: NewNode, confirm: Confirm) -> Node:
    """Get in, pin the host key, install our key, check for root, and only then save."""
    name = grammar.name(new.name, "node name")
    details = checked_details(new.details)
    with app.store.read() as tx:
        _refuse_taken(tx, name)
    if new.target is None and "public_host" not in details:
        raise InvalidInput("clients must know how to reach this machine", "give --public-host NAME_OR_ADDRESS")
    login, jump = enter(app, new, confirm)
    with app.store.write() as tx:
        return save(tx, app, login, jump, details)


def enter(app: App, new: NewNode, confirm: Confirm) -> tuple[Login, Node | None]:
    """Get into a server, pin its host key, install our key, check for root; return how, and through which node."""
    with app.store.read() as tx:
        jump = find.node(tx, new.jump) if new.jump else None
        via = login_of(tx, jump) if jump else None
    if new.target is None:
        login = Login(new.name, "local", "localhost", 0, "root", "", known=False)
    else:
        where = grammar.target(new.target)
        login = Login(new.name, "ssh", where.host, where.port, where.login, "", via, known=False)
        login = pinned(login, _way_key(app, login), Vouch(new.host_key_fp, new.known_hosts), confirm)
        if new.means:
            enroll.install_key(login, new.means, public_line(app), ssh_key(app))
    with contextlib.closing(app.connect(login)) as shell:
        enroll.check_root(shell, login)
    return login, jump


def save(tx: Tx, app: App, login: Login, jump: Node | None, details: dict[str, Any]) -> Node:
    """Insert a node with a pinned host key; Conflict when the name is taken."""
    return insert(tx, app, new_row(app, login, jump, details))


def new_row(app: App, login: Login, jump: Node | None, details: dict[str, Any]) -> Node:
    """Return the row of a node that is reached by this login."""
    return Node(
        **{
            "id": str(uuid.uuid4()),
            "name": login.node,
            "region": "",
            "kind": login.kind,
            "host": login.host,
            "port": login.port,
            "login": login.user,
            "host_key": login.host_key,
            "jump_id": jump.id if jump else None,
            "public_host": login.host,
            "created_at": app.clock(),
            **details,
        }
    )


def insert(tx: Tx, app: App, row: Node) -> Node:
    """Insert a node; Conflict when the name is taken."""
    _refuse_taken(tx, row.name)
    tx.insert(row)
    after = {"kind": row.kind, "host": row.host, "port": row.port, "public_host": row.public_host}
    events.record(tx, stamp(app), "node.add", ("node", row.id, row.name), None, after)
    return row


def _refuse_taken(tx: Tx, name: str) -> None:
    if tx.one(Node, models.node.c.name == name, models.node.c.retired_at.is_(None)) is not None:
        raise Conflict(f"node {name!r} exists already", f"vpnctl node show {name}")


def change(app: App, name: str, details: dict[str, Any]) -> Node:
    """Change details of a node; those that are None stay."""
    values = checked_details(details)
    with app.store.write() as tx:
        row = find.node(tx, name)
        if row.kind == HTTPS and "host" in values:
            raise InvalidInput(
                f"of {name}, only its panel is reached", f"vpnctl node panel {name} https://HOST:PORT/PATH"
            )
        new = {key: value for key, value in values.items() if getattr(row, key) != value}
        if new:
            tx.update(Node, models.node.c.id == row.id, **new)
            if "public_host" in new:
                served = (models.endpoint.c.node_id == row.id, models.endpoint.c.removed_at.is_(None))
                tx.update(Endpoint, *served, clients_changed_at=app.clock())
            before = {key: _plain(getattr(row, key)) for key in new}
            after = {key: _plain(value) for key, value in new.items()}
            events.record(tx, stamp(app), "node.set", ("node", row.id, row.name), before, after)
        return find.node(tx, name)


def look_again(app: App, name: str) -> Done[Node]:
    """Have a node be pending, so that it is read, and brought to agree, whatever is known of it."""
    with app.store.write() as tx:
        row = find.node(tx, name)
        tx.update(Node, models.node.c.id == row.id, fence_at=app.clock())
        served = (models.endpoint.c.node_id == row.id, models.endpoint.c.removed_at.is_(None))
        if not tx.all(Endpoint, *served, limit=1):
            raise Conflict(f"{name} serves nothing yet", f"vpnctl node provision {name}")
        events.record(tx, stamp(app), "node.sync", ("node", row.id, row.name))
        return Done(row, [row.id])


def checked_details(details: dict[str, Any]) -> dict[str, Any]:
    """Return what is given of a node's details, in canonical form."""
    values = {key: value for key, value in details.items() if value is not None}
    for key in ("public_host", "host"):
        if key in values:
            values[key] = grammar.host(values[key])
    if "region" in values:
        values["region"] = grammar.free_text(values["region"], "region")
    if not 0 <= values.get("capacity", 0) <= MAX_CAPACITY:
        raise InvalidInput(f"a capacity is a number of peers, up to {MAX_CAPACITY}", "for example 200")
    if values.get("traffic_action", "warn") not in TRAFFIC_ACTIONS:
        raise InvalidInput("that is not what can follow used up traffic", f"one of: {', '.join(TRAFFIC_ACTIONS)}")
    if values.get("protocol") == "none":
        values["protocol"] = ""
    elif "protocol" in values:
        plugin(values["protocol"])
    if values.get("traffic_limit") is not None:
        values["traffic_limit"] = sizes.size(str(values["traffic_limit"]))
    if isinstance(values.get("rent_due"), str):
        values["rent_due"] = _day(values["rent_due"])
    return values


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"'{grammar.clean(text)}' is not a date", "for example 2027-01-31") from None


def trust(app: App, name: str, new: NewNode, confirm: Confirm, token: str | None = None) -> Node:
    """Pin the host key that the server shows now, vouched for as in `add`; or accept a foreign token as ours.

    Accepting a token means: the other controller is gone, this database is the truth from now on.
    """
    with app.store.read() as tx:
        row = find.node(tx, name)
        login = login_of(tx, row)
    if token is not None:
        with app.store.read() as tx:
            restored.refuse(tx, row.id, row.name)
        _check_shown(app, row, token)
        adopt_token(app, row, token)
        return row
    vouched = pinned(login, _way_key(app, login), Vouch(new.host_key_fp, new.known_hosts), confirm)
    from vpnctl.remote import ssh

    before = {"host_key": ssh.fingerprint(row.host_key)}
    after = {"host_key": ssh.fingerprint(vouched.host_key)}
    if new.means:
        enroll.install_key(vouched, new.means, public_line(app), ssh_key(app))
    with app.store.write() as tx:
        tx.update(Node, models.node.c.id == row.id, host_key=vouched.host_key)
        events.record(tx, stamp(app), "node.trust", ("node", row.id, row.name), before, after)
        return find.node(tx, name)


def _check_shown(app: App, row: Node, token: str) -> None:
    """The token that is accepted must be the one that the node shows."""
    with app.store.read() as tx:
        view = load(tx, row.id, app.clock(), people=False)
    with drive(app, view) as way:
        shown = look(app, view, way, Query(PEOPLE)).token
    if shown != token:
        raise Conflict(
            f"{row.name} shows the token {shown}, not {grammar.clean(token, 40)}", f"vpnctl node check {row.name}"
        )


def _way_key(app: App, login: Login) -> Secret | None:
    """Return the key that opens the way to a server behind another node."""
    return ssh_key(app) if login.via else None


def ssh_key(app: App) -> Secret:
    """Return our private SSH key."""
    with app.store.read() as tx:
        return app.vault.open("meta.ssh_key", NIL, tx.meta(SSH_KEY) or "")


def public_line(app: App) -> str:
    """Return our public SSH key as a line of authorized_keys."""
    with app.store.read() as tx:
        return tx.meta(SSH_PUBLIC) or ""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
