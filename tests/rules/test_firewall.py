"""What nft lists is walked by hand: which chain drops the packets of peers. Listings as lab nodes printed them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vpnctl.rules import firewall

LISTENER = firewall.Listener("wg0", 51820, "udp")
CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/firewall.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_chains_that_drop_are_named_and_no_others(case):
    chains = firewall.parse(case["nft"].splitlines())
    found = firewall.judge(chains, LISTENER, ("eth0",), case.get("families", [4]))
    assert [f"{each.kind} {each.chain}" for each in found] == case["drops"]


def test_rules_that_jump_in_circles_end():
    lines = [
        "table ip filter",
        "chain FORWARD",
        "type filter hook forward priority filter; policy drop;",
        "jump FORWARD",
    ]
    assert firewall.judge(firewall.parse(lines), LISTENER, ("eth0",), [4])[0].chain == "ip filter FORWARD"


@pytest.mark.parametrize(
    ("rule", "dropped"),
    [("tcp dport 443 accept", False), ("tcp dport 22 accept", True), ("udp dport 443 accept", True), ("meta l4proto tcp accept", False)],
)  # fmt: skip
def test_an_endpoint_without_interface_is_asked_for_its_port_and_transport_alone(rule, dropped):
    lines = [
        "table ip filter",
        "chain FORWARD",
        "type filter hook forward priority filter; policy drop;",
        "chain INPUT",
        "type filter hook input priority filter; policy drop;",
        rule,
    ]
    found = firewall.judge(firewall.parse(lines), firewall.Listener("", 443, "tcp"), ("eth0",), [4])
    assert [each.what for each in found] == (["drops connections:"] if dropped else [])
