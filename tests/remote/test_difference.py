"""What the node script writes to a live interface: the peers that differ and no others (ADR 19)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import vpnctl.protocols.wireguard

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/difference.yaml").read_text())
SCRIPT = Path(vpnctl.protocols.wireguard.__file__).with_name("node.sh").read_text()


def function(name):
    found = re.search(rf"^{name}\(\) \{{\n.*?^\}}$", SCRIPT, re.DOTALL | re.MULTILINE)
    assert found, f"node.sh has no {name}"
    return found.group()


def run(script, stdin):
    done = subprocess.run(["bash", "-uc", script], input=stdin, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_difference_is_as_in_the_cases(case):
    stdin = case["live"].replace("|", "\t") + "\n" + case["file"]
    assert run(function("wg_difference") + "\nwg_difference", stdin) == case["says"]


def test_a_cut_of_nobody_asks_nothing_of_the_tool():
    assert run(function("wg_cut") + "\nwg_cut /nonexistent wg0", "") == ""


WG = """#!/bin/sh
echo "$@" >>"$0.log"
case $1 in
  show) printf 'priv\\tpub\\t51820\\toff\\nOLD=\\t(none)\\t(none)\\t10.66.0.2/32\\t0\\t0\\t0\\toff\\n' ;;
  addconf) exit 1 ;;
esac
"""


def test_what_must_go_goes_also_when_adding_fails(tmp_path):
    tool, path = tmp_path / "wg", tmp_path / "wg0.conf"
    tool.write_text(WG)
    tool.chmod(0o755)
    path.write_text(
        "[Interface]\nPrivateKey = priv\nListenPort = 51820\n\n[Peer]\nPublicKey = NEW=\nAllowedIPs = 10.66.0.2/32\n"
    )
    script = "\n".join(function(name) for name in ("wg_cut", "wg_difference", "wg_sync"))
    assert run(f"{script}\nwg_sync {tool} wg0 {path} 1420 || echo failed", "") == "failed\n"
    assert "set wg0 peer OLD= remove" in Path(f"{tool}.log").read_text().splitlines()
