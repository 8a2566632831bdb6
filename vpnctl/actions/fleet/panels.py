"""Nodes whose people live in a 3x-ui panel: how we get in there, and which of its inbounds we serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import sqlalchemy as sa

from vpnctl.actions.fleet import driving, endpoints, nodes
from vpnctl.actions.fleet.preview import rehearse
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.protocols.panel.inbounds import Inbound
from vpnctl.remote.driver import Way
from vpnctl.remote.panel import bootstrap
from vpnctl.remote.panel.door import Access
from vpnctl.remote.panel.driver import PanelDriver
from vpnctl.remote.shell import Login, Shell
from vpnctl.rules import grammar
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.secret import Secret
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Endpoint, Node

PROTOCOL = "3x-ui"
_PORT = 443


@dataclass(frozen=True)
class Given:
    """What is said of a panel; what is None stays, or is found out on the server."""

    url: str | None = None
    username: str | None = None
    secret: Secret | None = None
    """The password of `username`, or a token where nobody is named."""
    certificate: str | None = None


@dataclass(frozen=True)
class InboundView:
    """One inbound of a panel, for people: what it is, who is in it, and whether we serve it."""

    inbound: int
    port: int
    protocol: str
    clients: int
    ours: int
    served: str
    """The endpoint's name; empty where we leave it alone."""
    why: str


def connect(app: App, name: str, given: Given) -> tuple[Node, list[InboundView]]:
    """Say where the panel of a node is and how to get in; return the node and what the panel lists.

    A new name with an https URL is a node of which only the panel is reached. Nothing is saved unless the panel
    let us in.
    """
    with app.store.read() as tx:
        row = _known(tx, grammar.name(name, "node name"))
        other = next((each for each in find.endpoints(tx, row) if each.protocol != PROTOCOL), None) if row else None
    if other is not None:
        raise Conflict(
            f"{name} serves {other.protocol} itself; its panel is a node of its own",
            f"the same server under another name: vpnctl node add {name}-panel …, then: vpnctl node panel {name}-panel",
        )
    if given.url is not None:
        checked_url(given.url, alone=False)
    if row is None:
        row = _new(app, name, given)
    held = driving.access(app.vault, row)
    with driving.shell(app, row) as shell:
        access = _access(row, given, held, shell)
        found = _listed(app, row, access, shell)
    with app.store.write() as tx:
        if _known(tx, row.name) is None:
            nodes.insert(tx, app, row)
        if access != held:
            _save(tx, app, row, access, held)
        row = find.node(tx, row.name)
        return row, _views(tx, row, found)


def _known(tx: Tx, name: str) -> Node | None:
    return tx.one(Node, models.node.c.name == name, models.node.c.retired_at.is_(None))


def _new(app: App, name: str, given: Given) -> Node:
    where = urlsplit(given.url or "")
    if where.scheme != "https":
        raise NotFound(
            f"there is no node {name!r}",
            f"a server: vpnctl node add {name} root@HOST   a panel alone: vpnctl node panel {name} https://HOST:PORT/PATH",
        )
    host = grammar.host(where.hostname or "")
    return nodes.new_row(app, Login(name, HTTPS, host, where.port or _PORT, "", ""), None, {})


def _access(row: Node, given: Given, held: Access | None, shell: Shell | None) -> Access:
    """Return how to get in: what is given, else what is known, else what the server says of itself."""
    found = held
    if found is None and shell is not None and (given.url is None or given.secret is None):
        found = bootstrap.ask(shell, row.name)
    url = checked_url(given.url, alone=shell is None) if given.url else found.url if found else ""
    secret = given.secret or (found.secret if found else None)
    login = found.login if given.secret is None and found else given.username or ""
    if not url or secret is None or not secret.reveal():
        none = "the panel there makes no tokens (before 3.0)" if found is not None else "nobody said how to get in"
        where = f"vpnctl node panel {row.name}{'' if found is not None else ' URL'}"
        raise InvalidInput(
            f"{row.name}: {none}", f"{where} --username NAME --password-stdin   or, with a token: {where} --token-stdin"
        )
    if not login and not all("!" <= letter <= "~" for letter in secret.reveal()):
        raise InvalidInput("that is not a token", "printable letters of ASCII, without spaces")
    pin = given.certificate if given.certificate is not None else found.certificate if found else ""
    return Access(url, login, secret, _pin(pin))


def _pin(text: str) -> str:
    """Return a fingerprint of a certificate in its canonical form."""
    digits = text.removeprefix("SHA256:").replace(":", "").lower()
    if digits and (len(digits) != 64 or any(each not in "0123456789abcdef" for each in digits)):  # noqa: PLR2004
        raise InvalidInput("that is not a certificate's fingerprint", "SHA256: and 64 hex digits")
    return f"SHA256:{digits}" if digits else ""


def checked_url(text: str, *, alone: bool) -> str:
    """Return a panel's URL in its canonical form. Raises InvalidInput."""
    try:
        where = urlsplit(text)
        port = where.port
    except ValueError:
        where, port = urlsplit(""), None
    plain = where.path.replace("/", "").replace("-", "").replace("_", "").replace(".", "")
    good = where.scheme in ("http", "https") and where.hostname and not where.query and not where.fragment
    if not good or where.username or (plain and not (plain.isascii() and plain.isalnum())):
        raise InvalidInput(f"'{grammar.clean(text)}' is not a panel's address", "for example https://HOST:2053/PATH")
    if alone and where.scheme != "https":
        raise InvalidInput("without TLS a panel is reached on its own server only", "vpnctl node add NAME root@HOST")
    host = grammar.host(where.hostname or "")
    shown = f"[{host}]" if ":" in host else host
    path = "/".join(each for each in where.path.split("/") if each)
    return f"{where.scheme}://{shown}{f':{port}' if port else ''}{f'/{path}' if path else ''}"


def _save(tx: Tx, app: App, row: Node, access: Access, held: Access | None) -> None:
    sealed = app.vault.seal(driving.PANEL, row.id, access.secret)
    values = {"panel_url": access.url, "panel_login": access.login, "panel_certificate": access.certificate}
    where = {"host": urlsplit(access.url).hostname, "port": urlsplit(access.url).port or _PORT}
    moved = where if row.kind == HTTPS else {}
    tx.update(Node, models.node.c.id == row.id, **values, **moved, panel_secret_sealed=sealed)
    before = {"url": held.url, "login": held.login, "certificate": held.certificate} if held else None
    after = {"url": access.url, "login": access.login, "certificate": access.certificate}
    events.record(tx, stamp(app), "node.panel", ("node", row.id, row.name), before, after)


def _listed(app: App, row: Node, access: Access, shell: Shell | None) -> Sequence[Inbound]:
    driver = PanelDriver(Way(shell, access), row.name, app.clock)
    try:
        return driver.inbounds()
    finally:
        driver.close()


def _views(tx: Tx, row: Node, found: Sequence[Inbound]) -> list[InboundView]:
    served = {each.options.get("inbound"): each for each in find.endpoints(tx, row) if each.protocol == PROTOCOL}
    views = []
    for each in sorted(found, key=lambda one: one.number):
        mine = served.get(each.number)
        ours = len(_known_there(tx, mine) & each.peers.keys()) if mine else 0
        why = each.why_not or ("" if each.enabled else "switched off there")
        name = mine.name if mine else ""
        views.append(InboundView(each.number, each.port, each.protocol, len(each.peers), ours, name, why))
    return views


def _known_there(tx: Tx, endpoint: Endpoint) -> set[str]:
    query = sa.select(models.peer.c.identity).where(models.peer.c.endpoint_id == endpoint.id)
    return set(tx.execute(query).scalars())


def serves(app: App, name: str, protocols: Sequence[str]) -> bool:
    """Return whether provisioning a node means its panel."""
    if PROTOCOL in protocols:
        if len(set(protocols)) > 1:
            raise InvalidInput(
                "a panel's inbounds are served by a node of their own", f"leave {PROTOCOL} out, or alone"
            )
        return True
    with app.store.read() as tx:
        row = find.node(tx, name)
        others = any(each.protocol != PROTOCOL for each in find.endpoints(tx, row))
    if row.kind == HTTPS and protocols:
        raise InvalidInput(f"of {name}, only its panel is reached", "leave --protocol out")
    return row.panel_url is not None and not protocols and not others


def provision(app: App, name: str, chosen: Sequence[int]) -> tuple[Settled, tuple[str, ...]]:
    """Serve the inbounds of a node's panel (none chosen: all that we can), as they are there now.

    Return how it came out, and what to tell the operator.
    """
    with app.store.read() as tx:
        row = find.node(tx, name)
    if driving.access(app.vault, row) is None:
        row, _ = connect(app, name, Given())
    access = driving.access(app.vault, row)
    assert access is not None  # noqa: S101 - it was just saved
    with driving.shell(app, row) as shell:
        found = _listed(app, row, access, shell)
    with app.store.write() as tx:
        notes = take_over(tx, app, row, found, chosen)
    return settle(app, [row.id], Wish(scope=SYSTEM, always=True))[0], notes


def preview(app: App, name: str, chosen: Sequence[int]) -> list[Settled]:
    """Return what `provision` would change."""
    with app.store.read() as tx:
        row = find.node(tx, name)
    access = driving.access(app.vault, row)
    if access is None:
        raise Conflict(f"nobody said yet where the panel of {name} is", f"vpnctl node panel {name}")
    with driving.shell(app, row) as shell:
        found = _listed(app, row, access, shell)

    def verb(trial: App) -> list[str]:
        with trial.store.write() as tx:
            take_over(tx, trial, row, found, chosen)
        return [row.id]

    return rehearse(app, verb, Wish(scope=SYSTEM))


def take_over(tx: Tx, app: App, row: Node, found: Sequence[Inbound], chosen: Sequence[int]) -> tuple[str, ...]:
    """Make endpoints of inbounds, and those that are there like their inbounds; return what to tell."""
    there = find.endpoints(tx, row)
    served = {each.options.get("inbound"): each for each in there if each.protocol == PROTOCOL}
    by_number = {each.number: each for each in found}
    missing = [number for number in chosen if number not in by_number]
    if missing:
        raise NotFound(f"the panel of {row.name} has no inbound {missing[0]}", f"vpnctl node panel {row.name}")
    notes = []
    for number, one in sorted(by_number.items()):
        if one.why_not or not one.port:
            if number in chosen or number in served:
                raise Conflict(f"inbound {number} of {row.name} cannot be served: {one.why_not or 'it has no port'}")
            notes.append(f"note: inbound {number} is left alone: {one.why_not or 'it has no port'}")
        elif number in served:
            notes += _follow(tx, app, row, served[number], one)
        elif (chosen and number not in chosen) or not one.enabled:
            continue
        elif any((each.port, each.transport) == (one.port, "tcp") for each in there):
            notes.append(f"note: inbound {number} is left alone: another one has its port {one.port}")
        else:
            there.append(_serve(tx, app, row, one))
    if not any(each.protocol == PROTOCOL for each in there):
        raise Conflict(f"the panel of {row.name} has no inbound that people can use", "make one in the panel first")
    return tuple(notes)


def _serve(tx: Tx, app: App, row: Node, one: Inbound) -> Endpoint:
    general = {"interface": f"in{one.number}", "port": one.port}
    new = endpoints.NewEndpoint(PROTOCOL, general, one.options)
    made = endpoints.create(tx, app, row, new)
    _seal(tx, app, made, one.password)
    return made


def _follow(tx: Tx, app: App, row: Node, served: Endpoint, one: Inbound) -> list[str]:
    """Make an endpoint like its inbound; name who needs a new link."""
    _, devices = endpoints.revise(tx, app, row, served, {"port": one.port, **one.options})
    held = None
    if served.secret_sealed is not None:
        held = app.vault.open("endpoint.key", served.id, served.secret_sealed)
    if held != one.password:
        _seal(tx, app, served, one.password)
        tx.update(Endpoint, models.endpoint.c.id == served.id, clients_changed_at=app.clock(), proven_at=None)
    if not devices and held == one.password:
        return []
    who = f"vpnctl peer list --stale --node {row.name}"
    return [f"note: {served.name} was changed in the panel; who needs a new link: {who}"]


def _seal(tx: Tx, app: App, endpoint: Endpoint, password: Secret | None) -> None:
    sealed = app.vault.seal("endpoint.key", endpoint.id, password) if password else None
    tx.update(Endpoint, models.endpoint.c.id == endpoint.id, secret_sealed=sealed)
