"""What the node script writes to a live interface: the peers that differ and no others (ADR 19)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import vpnctl.remote

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/difference.yaml").read_text())
SCRIPT = Path(vpnctl.remote.__file__).with_name("node.sh").read_text()


def function(name):
    found = re.search(rf"^  {name}\(\) \{{\n.*?^  \}}$", SCRIPT, re.DOTALL | re.MULTILINE)
    assert found, f"node.sh has no {name}"
    return found.group()


def run(script, stdin):
    done = subprocess.run(["bash", "-uc", script], input=stdin, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_difference_is_as_in_the_cases(case):
    stdin = case["live"].replace("|", "\t") + "\n" + case["file"]
    assert run(function("difference") + "\ndifference", stdin) == case["says"]


def test_a_cut_of_nobody_asks_nothing_of_the_tool():
    assert run(function("cut_peers") + "\ncut_peers /nonexistent wg0", "") == ""
