"""From a bare server to a serving node: endpoints that suit it, the whole system scope, and packets seen to pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vpnctl.actions.fleet import endpoints, probes
from vpnctl.actions.fleet.desired import load, login
from vpnctl.actions.fleet.preview import rehearse
from vpnctl.actions.fleet.settle import Wish, look, settle
from vpnctl.actions.outcome import Settled
from vpnctl.app import App
from vpnctl.errors import NodeFailed
from vpnctl.rules import firewall
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.observed import Observed
from vpnctl.rules.path import Ways, fitting_mtu
from vpnctl.store import find
from vpnctl.store.rows import Endpoint, Node

SYSTEMS = ("debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04")
_POOL_BITS = 16
"""Of our pools; a wider network of the server takes no packets from one."""
V6_ONLY = "::/0"
V6_DNS = "2606:4700:4700::1111, 2001:4860:4860::8888"


@dataclass(frozen=True)
class Provisioned:
    """How it came out, and what was noticed on the way."""

    settled: Settled
    notes: tuple[str, ...]


def provision(app: App, name: str, protocols: Sequence[str], ask: Callable[[str], bool] | None) -> Provisioned:
    """Make a node serve `protocols`, and see packets pass through it.

    `ask` is asked before a host firewall is told to let our packets pass; None: it is left alone.
    """
    node, observed = _first_look(app, name)
    _refuse_system(node, observed)
    options, notes = suited(observed)
    _ensure_endpoints(app, name, protocols, options)
    probes.ensure(app, [node.id])
    blocked = _host_firewall(app, name, observed)
    if blocked is not None:
        notes = (*notes, blocked.what)
        if blocked.rule and ask is not None and ask(f"{blocked.what} Let packets of the VPN pass there?"):
            _set_rule(app, name, blocked.rule)
    with app.progress(f"provisioning {name}", 1) as advance:
        settled = settle(app, [node.id], Wish(scope=SYSTEM, always=True, prove=True))[0]
        advance()
    with app.store.read() as tx:
        proven = find.node(tx, name)
    if settled.code == 0 and (proven.path_at is None or proven.path_error is not None):
        notes = (*notes, f"note: packets were not tried through {name}: vpnctl node check {name}")
    return Provisioned(settled, notes)


def preview(app: App, name: str, protocols: Sequence[str]) -> list[Settled]:
    """Return what provisioning would change."""
    _, observed = _first_look(app, name)
    options, _ = suited(observed)

    def verb(trial: App) -> list[str]:
        _ensure_endpoints(trial, name, protocols, options)
        with trial.store.read() as tx:
            return [find.node(tx, name).id]

    return rehearse(app, verb, Wish(scope=SYSTEM))


def suited(observed: Observed) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the options of an endpoint that suit this server, and what to tell the operator."""
    ways = observed.ways or Ways()
    options: dict[str, Any] = {"avoid": [net for _, net in ways.networks if net.prefixlen >= _POOL_BITS]}
    notes = []
    os = observed.facts.get("os", "?")
    if os not in SYSTEMS:
        notes.append(f"note: {os} is not among the systems that are tested: {', '.join(SYSTEMS)}.")
    fits = fitting_mtu(ways)
    if fits is not None and fits < endpoints.DEFAULT_MTU:
        options["mtu"] = max(fits, endpoints.LEAST_MTU)
        notes.append(f"note: the server's line carries {min(ways.lines.values())} bytes: tunnel MTU {options['mtu']}.")
    if not observed.ipv6:
        options["pool_v6"] = "none"
        notes.append("note: IPv6 is switched off on this server: it serves IPv4; people's IPv6 goes nowhere.")
    if ways.lines and 4 not in ways.lines:  # noqa: PLR2004
        options |= {"allowed_ips": V6_ONLY, "dns": V6_DNS}
        notes.append(
            "note: this server has no way out over IPv4: it serves IPv6 only; people's IPv4 stays outside the tunnel."
        )
    return options, tuple(notes)


def _first_look(app: App, name: str) -> tuple[Node, Observed]:
    with app.store.read() as tx:
        node = find.node(tx, name)
        view = load(tx, node.id, app.clock(), people=False)
        where = login(tx, node)
    shell = app.connect(where)
    try:
        return node, look(app, view, shell, SYSTEM, ("look-facts",))
    finally:
        shell.close()


def _refuse_system(node: Node, observed: Observed) -> None:
    facts = observed.facts
    if facts.get("systemd") != "yes" or facts.get("apt") != "yes":
        raise NodeFailed(
            f"{node.name} runs {facts.get('os', '?')} without systemd or apt",
            f"reinstall it with one of: {', '.join(SYSTEMS)}",
        )


def _ensure_endpoints(app: App, name: str, protocols: Sequence[str], options: dict[str, Any]) -> None:
    with app.store.read() as tx:
        served = {endpoint.protocol for endpoint in find.endpoints(tx, find.node(tx, name))}
    for protocol in protocols:
        if protocol not in served:
            endpoints.add(app, name, protocol, options)


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
        found = _in_the_way(endpoint, observed.ways or Ways())
        if found is not None:
            return found
    return None


def _in_the_way(endpoint: Endpoint, ways: Ways) -> _Blocked | None:
    verdicts = firewall.judge(ways.chains, endpoint.interface, ways.wan, endpoint.port, ways.lines)
    if not verdicts:
        return None
    chains = ", ".join(dict.fromkeys(each.chain for each in verdicts))
    if any(chain.name == "DOCKER-USER" for chain in ways.chains) and all(each.kind == "forward" for each in verdicts):
        return _Blocked(f"Docker is on this server and drops what is forwarded (chain {chains}).", "docker")
    if all(each.chain.split()[1] == "filter" for each in verdicts):
        return _Blocked(f"iptables on this server drops packets of the VPN (chain {chains}).", "iptables")
    return _Blocked(
        f"note: the firewall of this server drops packets of the VPN (chain {chains}). It is not one that vpnctl "
        f"changes: let {endpoint.interface} and UDP port {endpoint.port} pass there.",
        "",
    )


def _set_rule(app: App, name: str, rule: str) -> None:
    with app.store.read() as tx:
        interfaces = [endpoint.interface for endpoint in find.endpoints(tx, find.node(tx, name))]
    for interface in interfaces:
        endpoints.change(app, name, interface, {"forward_rule": rule})
