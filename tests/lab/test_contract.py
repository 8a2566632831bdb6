"""The in-memory node is held to a real one: the same verbs on both, the same plans, the same answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakenode import FakeNode
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.app import open_app
from vpnctl.remote import node as node_script
from vpnctl.rules.changes import SYSTEM

ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


def facts(observed):
    """What must agree; clocks, boot ids and the order of peers are each node's own."""
    seen = {
        name: (
            each.identity,
            each.port,
            each.interface,
            {key: (peer.shared, peer.allowed_ips) for key, peer in each.peers.items()},
        )
        for name, each in observed.endpoints.items()
    }
    plain = {name: value for name, value in observed.facts.items() if not name.startswith("udp_ports")}
    ways = observed.ways
    lines = (ways.lines, ways.wan) if ways else None
    return observed.token, observed.files, observed.units, seen, plain, lines, observed.paths


@pytest.mark.parametrize("scenario", ["provision", "people", "alien", "refused"])
def test_the_same_plans_give_the_same_answers_on_both(operator, pool, scenario, monkeypatch):
    """Every call that settle makes on the real node is made on the in-memory one too, and the answers compared."""
    node = pool[0]
    node.sh(
        "apt-get -qq update; apt-get -qq -y --no-install-recommends install wireguard-tools nftables >/dev/null 2>&1"
    )
    operator(
        "node", "add", "fi", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key)
    )
    operator("endpoint", "add", "fi", "wireguard", "--dry-run")
    for key, value in operator.env.items():
        monkeypatch.setenv(key, value)
    from vpnctl.settings import load

    app = open_app(load(), "cli:test")
    iptables = node.sh("command -v iptables >/dev/null && echo yes || echo no").strip()
    twin = FakeNode("twin", packages={"wireguard-tools", "nftables"}, facts={"iptables": iptables})
    compared = []
    real_call = node_script.call

    def both(target, plan, looks, now, waits=lambda: None):
        real = real_call(target, plan, looks, now, waits)
        fake = real_call(replace(target, shell=twin.connect(replace_login)), plan, looks, now)
        assert facts(fake.observed) == facts(real.observed)
        assert (fake.refused, bool(fake.failed)) == (real.refused, bool(real.failed))
        # "did" names the same steps in the same order
        assert fake.did == real.did
        compared.append(bool(plan.lines))
        return real

    from vpnctl.remote.shell import Login

    replace_login = Login("twin", "local", "twin", 0, "root", "")
    monkeypatch.setattr(node_script, "call", both)
    from vpnctl.actions.fleet import endpoints

    endpoints.add(app, "fi", "wireguard", {})
    with app.store.read() as tx:
        from vpnctl.store import find

        ids = [find.node(tx, "fi").id]
    system = Wish(scope=SYSTEM, always=True, prove=True)
    assert settle(app, ids, system)[0].code == 0
    if scenario == "people":
        users.add(app, ["alice", "bob"])
        peers.add(app, [Wanted("alice"), Wanted("bob")])
        for change in (
            lambda: None,
            lambda: peers.suspend(app, "alice"),
            lambda: peers.regen(app, "bob"),
            lambda: peers.revoke(app, "bob"),
        ):
            change()
            assert settle(app, ids)[0].code == 0
    elif scenario == "alien":
        node.sh(f"wg set wg0 peer {ALIEN} allowed-ips 10.66.9.9/32")
        twin.links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]
        assert settle(app, ids, system)[0].code == 0
    elif scenario == "refused":
        users.add(app, ["alice"])
        peers.add(app, [Wanted("alice")])
        node.sh("echo foreign > /var/lib/vpnctl/token")
        twin.files["/var/lib/vpnctl/token"] = ("600", b"foreign\n")
        assert settle(app, ids)[0].code == 7
    assert compared.count(True) >= 1
    assert replace(app) is not None
    app.store.close()
