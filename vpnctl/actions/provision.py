"""From a bare server to a serving node: endpoints, the whole system scope, and forwarding proven by a packet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vpnctl.actions import endpoints, find, probes
from vpnctl.actions.desired import desired, load, login
from vpnctl.actions.outcome import Settled
from vpnctl.actions.preview import rehearse
from vpnctl.actions.settle import Wish, look, settle
from vpnctl.app import App
from vpnctl.errors import NodeFailed, VpnctlError
from vpnctl.remote import forwarding
from vpnctl.rules.changes import SYSTEM, Observed
from vpnctl.store.rows import Node

SYSTEMS = ("debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04")


@dataclass(frozen=True)
class Provisioned:
    """How it came out. `forwarding` says what the packet proof found, per interface."""

    settled: Settled
    notes: tuple[str, ...]
    forwarding: dict[str, str]


def provision(app: App, name: str, protocols: Sequence[str], ask: Callable[[str], bool] | None) -> Provisioned:
    """Make a node serve `protocols`.

    `ask` is asked before a host firewall is told to let our packets pass; None: it is left alone.
    """
    node, observed = _first_look(app, name)
    _refuse_system(node, observed)
    _ensure_endpoints(app, name, protocols)
    probes.ensure(app, [node.id])
    rule, notes = _host_firewall(observed)
    if (
        rule != "none"
        and ask is not None
        and _lacks_rule(app, name, rule)
        and ask(f"{notes[-1]} Let packets of the VPN pass there?")
    ):
        _set_rule(app, name, rule)
    with app.progress(f"provisioning {name}", 1) as advance:
        settled = settle(app, [node.id], Wish(scope=SYSTEM, always=True))[0]
        advance()
    proofs: dict[str, str] = {}
    if settled.code == 0:
        proofs = _prove(app, node)
        failed = {interface: text for interface, text in proofs.items() if text != "ok"}
        if failed:
            interface, text = next(iter(failed.items()))
            hint = "look at the node's own firewall; with Docker or ufw: run provision again and say yes to the rule"
            settled = Settled(
                node.id, name, 3, settled.changes, f"{name}: forwarding of {interface} does not work: {text}", hint
            )
    return Provisioned(settled, tuple(notes), proofs)


def preview(app: App, name: str, protocols: Sequence[str]) -> list[Settled]:
    """Return what provisioning would change."""

    def verb(trial: App) -> list[str]:
        _ensure_endpoints(trial, name, protocols)
        with trial.store.read() as tx:
            return [find.node(tx, name).id]

    return rehearse(app, verb, Wish(scope=SYSTEM))


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


def _ensure_endpoints(app: App, name: str, protocols: Sequence[str]) -> None:
    with app.store.read() as tx:
        served = {endpoint.protocol for endpoint in find.endpoints(tx, find.node(tx, name))}
    for protocol in protocols:
        if protocol not in served:
            endpoints.add(app, name, protocol, {})


def _host_firewall(observed: Observed) -> tuple[str, list[str]]:
    """Return (the rule that would help, what to tell the operator)."""
    facts = observed.facts
    notes = []
    if facts.get("os", "") not in SYSTEMS:
        notes.append(f"note: {facts.get('os', '?')} is not among the systems that are tested: {', '.join(SYSTEMS)}.")
    if facts.get("ufw") == "yes":
        return "ufw", [*notes, "ufw is active on this server and drops what is forwarded."]
    if facts.get("forward_policy") == "DROP":
        if facts.get("docker_chain") == "yes":
            return "docker", [*notes, "Docker is on this server and drops what is forwarded."]
        return "none", [*notes, "note: the FORWARD policy of this server is DROP and neither Docker nor ufw set it."]
    return "none", notes


def _lacks_rule(app: App, name: str, rule: str) -> bool:
    with app.store.read() as tx:
        return any(endpoint.forward_rule != rule for endpoint in find.endpoints(tx, find.node(tx, name)))


def _set_rule(app: App, name: str, rule: str) -> None:
    with app.store.read() as tx:
        interfaces = [endpoint.interface for endpoint in find.endpoints(tx, find.node(tx, name))]
    for interface in interfaces:
        endpoints.change(app, name, interface, {"forward_rule": rule})


def _prove(app: App, node: Node) -> dict[str, str]:
    """Send a packet through each endpoint and see it leave the node."""
    with app.store.read() as tx:
        view = load(tx, node.id, app.clock(), people=False)
        where = login(tx, node)
    want = desired(app, view)
    proofs = {}
    shell = app.connect(where)
    try:
        for endpoint, link in zip(view.endpoints, want.links, strict=True):
            if not link.removed:
                try:
                    proofs[link.interface] = forwarding.prove(shell, link, endpoint.pool_v4)
                except VpnctlError as error:
                    proofs[link.interface] = error.what
    finally:
        shell.close()
    return proofs
