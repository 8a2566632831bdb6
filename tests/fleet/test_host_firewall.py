"""What a host's own firewall does to our packets: whose rules help is told apart, and ours are put back when lost."""

from __future__ import annotations

import pytest

from vpnctl.store import find

IPTABLES = ["table ip filter", "chain FORWARD", "type filter hook forward priority filter; policy drop;"]
OURS = ['iifname "wg0" counter packets 0 bytes 0 accept', 'oifname "wg0" counter packets 0 bytes 0 accept']
OWN_CHAIN = ["table inet filter", "chain forward", "type filter hook forward priority filter; policy drop;"]


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def with_our_rules(node):
    """Starting the firewall's unit adds our rules to iptables, as its drop-in says."""
    real = node.start

    def start(unit):
        real(unit)
        drop_in = f"/etc/systemd/system/{unit.replace('.service', '')}.service.d/docker.conf"
        if unit.startswith("vpnctl-firewall@") and drop_in in node.files and node.nft:
            node.nft = [*IPTABLES, *OURS]

    node.start = start


def test_rules_of_ours_that_the_host_lost_are_put_back_by_a_sync(service, fi):
    with_our_rules(fi)
    fi.nft, fi.path = list(IPTABLES), "out"
    assert "iptables on this server drops" in service("node", "provision", "fi", "--yes").err
    assert fi.nft == [*IPTABLES, *OURS]
    fi.nft = list(IPTABLES)  # iptables -F, or a reload of ufw
    said = service("node", "check", "fi", "--json")
    assert said.code == 4
    assert [change["kind"] for node in said.json for change in node["changes"]] == ["load firewall"]
    fi.path = "ok"
    assert service("node", "sync", "fi").code == 0
    assert fi.nft == [*IPTABLES, *OURS]


@pytest.mark.parametrize(("nft", "iptables"), [(OWN_CHAIN, "yes"), (IPTABLES, "no")])
def test_a_firewall_that_is_not_ours_to_change_is_named_with_what_to_let_pass(service, fi, nft, iptables, app):
    fi.nft, fi.path, fi.facts["iptables"] = list(nft), "out", iptables
    said = service("node", "provision", "fi", "--yes")
    assert said.code == 3
    assert "let wg0 and UDP port 51820 pass there" in said.err
    assert "vpnctl node provision fi" not in said.err
    with app.store.read() as tx:
        assert find.endpoint(tx, find.node(tx, "fi"), "wg0").forward_rule == "none"


def test_what_was_allowed_is_taken_back_by_the_endpoints_forward_rule(service, fi):
    with_our_rules(fi)
    fi.nft = list(IPTABLES)
    service("node", "provision", "fi", "--yes")
    path = "/etc/systemd/system/vpnctl-firewall@wg0.service.d/docker.conf"
    assert path in fi.files
    assert "keeps the forward rule iptables" in service("node", "provision", "fi", "--forward-rule", "none").err
    fi.nft = []
    assert service("endpoint", "set", "fi", "wg0", "--forward-rule", "none").code == 0
    assert path not in fi.files
