"""What nft lists is walked by hand: which chain drops the packets of peers. Listings as lab nodes printed them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vpnctl.rules import firewall

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/firewall.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_chains_that_drop_are_named_and_no_others(case):
    chains = firewall.parse(case["nft"].splitlines())
    found = firewall.judge(chains, "wg0", ("eth0",), 51820, case.get("families", [4]))
    assert [f"{each.kind} {each.chain}" for each in found] == case["drops"]


def test_rules_that_jump_in_circles_end():
    lines = [
        "table ip filter",
        "chain FORWARD",
        "type filter hook forward priority filter; policy drop;",
        "jump FORWARD",
    ]
    assert firewall.judge(firewall.parse(lines), "wg0", ("eth0",), 51820, [4])[0].chain == "ip filter FORWARD"
