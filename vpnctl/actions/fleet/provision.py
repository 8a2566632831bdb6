"""From a bare server to a serving node: endpoints that suit it, the whole system scope, and packets seen to pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpnctl.actions.fleet import endpoints, panels, probes
from vpnctl.actions.fleet.desired import load
from vpnctl.actions.fleet.driving import drive, look
from vpnctl.actions.fleet.preview import rehearse
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled
from vpnctl.app import App
from vpnctl.errors import InvalidInput, NodeFailed
from vpnctl.protocols import plugin, usual
from vpnctl.protocols.interface import Server
from vpnctl.remote.driver import Query
from vpnctl.rules import firewall
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.observed import Observed
from vpnctl.rules.path import Ways
from vpnctl.store import find
from vpnctl.store.rows import Endpoint, Node

SYSTEMS = ("debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04")


@dataclass(frozen=True)
class Provisioned:
    """How it came out, and what was noticed on the way."""

    settled: Settled
    notes: tuple[str, ...]


def provision(
    app: App, name: str, protocols: Sequence[str], ask: Callable[[str], bool] | None, inbounds: Sequence[int] = ()
) -> Provisioned:
    """Make a node serve `protocols` (none: the usual one), and see packets pass through it.

    `ask` is asked before a host firewall is told to let our packets pass; None: it is left alone.
    `inbounds`: which ones of its panel are served, where it has one; none: all.
    """
    if panels.serves(app, name, protocols):
        return Provisioned(*panels.provision(app, name, inbounds))
    if inbounds:
        raise InvalidInput(f"{name} serves no panel", f"vpnctl node provision {name} --protocol {panels.PROTOCOL}")
    node, observed = _first_look(app, name)
    _refuse_system(node, observed)
    notes = _ensure_endpoints(app, name, protocols, observed)
    probes.ensure(app, [node.id])
    blocked = _host_firewall(app, name, observed)
    if blocked is not None:
        notes = (*notes, blocked.what)
        if blocked.rule and ask is not None and ask(f"{blocked.what} Let packets of the VPN pass there?"):
            _set_rule(app, name, blocked.rule)
    if ask is None:
        notes = (*notes, *_kept_rules(app, name))
    with app.progress(f"provisioning {name}", 1) as advance:
        settled = settle(app, [node.id], Wish(scope=SYSTEM, always=True, prove=True))[0]
        advance()
    with app.store.read() as tx:
        proven = find.node(tx, name)
    if settled.code == 0 and (proven.path_at is None or proven.path_error is not None):
        notes = (*notes, f"note: packets were not tried through {name}: vpnctl node check {name}")
    return Provisioned(settled, notes)


def preview(app: App, name: str, protocols: Sequence[str], inbounds: Sequence[int] = ()) -> list[Settled]:
    """Return what provisioning would change."""
    if panels.serves(app, name, protocols):
        return panels.preview(app, name, inbounds)
    _, observed = _first_look(app, name)

    def verb(trial: App) -> list[str]:
        _ensure_endpoints(trial, name, protocols, observed)
        with trial.store.read() as tx:
            return [find.node(tx, name).id]

    return rehearse(app, verb, Wish(scope=SYSTEM))


def _first_look(app: App, name: str) -> tuple[Node, Observed]:
    with app.store.read() as tx:
        node = find.node(tx, name)
        view = load(tx, node.id, app.clock(), people=False)
    with drive(app, view) as way:
        return node, look(app, view, way, Query(SYSTEM, facts=True))


def _refuse_system(node: Node, observed: Observed) -> None:
    facts = observed.facts
    if facts.get("systemd") != "yes" or facts.get("apt") != "yes":
        raise NodeFailed(
            f"{node.name} runs {facts.get('os', '?')} without systemd or apt",
            f"reinstall it with one of: {', '.join(SYSTEMS)}",
        )


def _ensure_endpoints(app: App, name: str, protocols: Sequence[str], observed: Observed) -> tuple[str, ...]:
    """Add the endpoints that are missing, as suits the server; return what to tell the operator."""
    ways = observed.ways or Ways()
    os = observed.facts.get("os", "?")
    tested = os in SYSTEMS
    notes = [] if tested else [f"note: {os} is not among the systems that are tested: {', '.join(SYSTEMS)}."]
    with app.store.read() as tx:
        served = {endpoint.protocol for endpoint in find.endpoints(tx, find.node(tx, name))}
    for protocol in protocols or [usual()]:
        suited = plugin(protocol).suited(Server(ways, observed.ipv6))
        notes += suited.notes
        if protocol not in served:
            endpoints.add(app, name, protocol, suited.options, avoid=[net for _, net in ways.networks])
    return tuple(notes)


@dataclass(frozen=True)
class _Blocked:
    """A firewall of the host that keeps our packets from passing; `rule` would let them, empty: none is known."""

    what: str
    rule: str


def _host_firewall(app: App, name: str, observed: Observed) -> _Blocked | None:
    """Return what of the host's own firewall is in the way of the node's endpoints as they are configured now."""
    with app.store.read() as tx:
        served = find.endpoints(tx, find.node(tx, name))
    if observed.facts.get("ufw") == "yes":
        said = _Blocked("ufw is active on this server and drops what is forwarded.", "ufw")
        return said if any(endpoint.forward_rule != "ufw" for endpoint in served) else None
    for endpoint in served:
        found = _in_the_way(endpoint, observed.ways or Ways(), iptables=observed.facts.get("iptables") == "yes")
        if found is not None:
            return found
    return None


def _in_the_way(endpoint: Endpoint, ways: Ways, *, iptables: bool) -> _Blocked | None:
    link = endpoint.name if plugin(endpoint.protocol).pools(endpoint.options) else ""
    listener = firewall.Listener(link, endpoint.port, endpoint.transport)
    verdicts = firewall.judge(ways.chains, listener, ways.wan, ways.lines)
    if not verdicts:
        return None
    chains = ", ".join(dict.fromkeys(each.chain for each in verdicts))
    rule = firewall.forward_rule(verdicts, ways.chains, iptables=iptables)
    if rule and rule == endpoint.forward_rule:
        return None  # allowed before: settling puts our rules back
    if rule == "docker":
        return _Blocked(f"Docker is on this server and drops what is forwarded (chain {chains}).", rule)
    if rule:
        return _Blocked(f"iptables on this server drops packets of the VPN (chain {chains}).", rule)
    return _Blocked(
        f"note: the firewall of this server drops packets of the VPN (chain {chains}). It is not one that vpnctl "
        f"changes: let {endpoint.name} and {endpoint.transport.upper()} port {endpoint.port} pass there.",
        "",
    )


def _kept_rules(app: App, name: str) -> list[str]:
    """What was allowed before is not taken back by leaving the question out."""
    with app.store.read() as tx:
        rules = [each for each in find.endpoints(tx, find.node(tx, name)) if each.forward_rule != "none"]
    return [
        f"note: {each.name} keeps the forward rule {each.forward_rule}; to take it back: "
        f"vpnctl endpoint set {name} {each.name} --forward-rule none"
        for each in rules
    ]


def _set_rule(app: App, name: str, rule: str) -> None:
    with app.store.read() as tx:
        names = [endpoint.name for endpoint in find.endpoints(tx, find.node(tx, name))]
    for each in names:
        endpoints.change(app, name, each, {"forward_rule": rule})
