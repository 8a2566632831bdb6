"""What is easily forgotten when a verb, a job or a protocol is added is said here, by name."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from importlib import import_module, resources
from pathlib import Path

import pytest

from vpnctl import jobs
from vpnctl.protocols import PLUGINS, plugin
from vpnctl.texts.words import Words

ROOT = Path(__file__).parents[2]
ACTIONS = ROOT / "vpnctl/actions"
ACCESS = {
    "Peer": {"revoked_at", "suspended_at", "expires_at", "retiring_at"},
    "User": {"blocked_at", "removed_at", "unlimited", "approved_at"},
    "Subscription": {"cancelled_at", "converted_at", "ends_at", "starts_at"},
}
"""Columns that say who may connect, by the row that has them."""
TELLS = {"expect_change", "fence", "flip", "revoke_rows"}
"""What tells the nodes of such a change (docs/adr/0022), itself or because it calls one of these."""
BY_OTHERS = {
    "vpnctl/actions/fleet/proof.py:_finish_migration": "what ends is live on its node: cutting it moves the token there",
    "vpnctl/actions/people/applicants.py:admit": "who waits for a word has no devices yet",
    "vpnctl/actions/people/applicants.py:reject": "who waits for a word has no devices yet",
    "vpnctl/actions/people/migration.py:_move": "a part of the move: `supersede` tells the old node, the new peer is news",
    "vpnctl/actions/sales/subscriptions.py:_make_way": "a part of `add`, which tells them",
    "vpnctl/actions/sales/subscriptions.py:closed_up": "a part of `add`, which tells them",
    "vpnctl/actions/sales/subscriptions.py:_convert": "a part of `add`, which tells them",
}


def writes_access(function):
    """Return the columns of ACCESS that a function writes by `tx.update(ROW, …)`."""
    texts = {
        node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found = set()
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "update":
            row = call.args[0].id if call.args and isinstance(call.args[0], ast.Name) else ""
            named = {keyword.arg for keyword in call.keywords if keyword.arg}
            spread = any(keyword.arg is None for keyword in call.keywords)
            found |= ACCESS.get(row, set()) & (named | (texts if spread else set()))
    return found


def called(function):
    return {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))
    }


def functions():
    for path in sorted(ACTIONS.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", node


def test_whoever_changes_who_may_connect_tells_the_nodes():
    """`expect_change` in the same transaction: else an older copy of the database would not be refused by them."""
    silent = {
        name: sorted(writes_access(node))
        for name, node in functions()
        if writes_access(node) and not called(node) & TELLS and name not in BY_OTHERS
    }
    assert silent == {}, "call store.queue.expect_change (or fence) there, see docs/adr/0022"


def test_exceptions_from_that_are_functions_that_there_are():
    writing = {name for name, node in functions() if writes_access(node)}
    assert set(BY_OTHERS) <= writing


def test_a_verb_that_forgets_the_nodes_would_be_found():
    forgetful = ast.parse("def lend(tx, peer):\n    tx.update(Peer, peer.id, expires_at=1)").body[0]
    assert writes_access(forgetful) == {"expires_at"}
    assert not called(forgetful) & TELLS


def test_every_module_of_a_job_is_in_its_list_and_the_other_way_round():
    there = {path.stem for path in (ROOT / "vpnctl/jobs").glob("*.py")} - {"__init__", "settling", "timers"}
    assert there == set(jobs.NAMES), "a job is a module in vpnctl/jobs and a name in NAMES"


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_job_says_what_it_does_and_when(name):
    job = jobs.module(name)
    assert {each for each in ("SUMMARY", "TIMER", "run") if not hasattr(job, each)} == set()
    assert isinstance(job.TIMER, jobs.Timer)


FUNCTIONS = ("live", "up", "look", "cut", "sync", "key", "shared", "clear", "why")
"""What the core of the node script calls of a protocol's part; see the head of vpnctl/remote/node.sh."""


def part(name):
    return resources.files(plugin(name).script[-1]).joinpath("node.sh")


@pytest.mark.parametrize("name", [name for name in PLUGINS if plugin(name).driver == "node"])
def test_a_protocols_part_of_the_node_script_is_whole(name):
    text = part(name).read_text(encoding="ascii")
    missing = [each for each in FUNCTIONS if not re.search(rf"^{plugin(name).fragment}_{each}\(\)", text, re.M)]
    assert missing == []
    bash = shutil.which("bash")
    assert bash is not None
    checked = subprocess.run([bash, "-n"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("locale", ["ru", "fa"])
@pytest.mark.parametrize("name", PLUGINS)
def test_what_a_protocol_tells_people_to_do_is_translated(name, locale):
    steps = {step for app in plugin(name).apps.values() for step in app.steps}
    words = Words(locale)
    untouched = {
        step
        for step in steps
        if str(words.say(step, file="x", name="x")) == str(Words("en").say(step, file="x", name="x"))
    }
    assert {step for step in untouched if not step.startswith("sudo ")} == set(), "mark() the steps, then: make locales"


def test_every_protocol_has_its_own_tests_and_cases():
    for name, module in PLUGINS.items():
        folder = module.split(".")[2]
        assert (ROOT / f"tests/protocols/test_{folder}.py").is_file(), name
        assert any((ROOT / f"tests/cases/{folder}").iterdir()), name
        assert import_module(module).PLUGIN is plugin(name)
