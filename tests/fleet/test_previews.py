"""A dry run changes nothing and tells what the real run does."""

from __future__ import annotations

import sqlite3

import click
import pytest

from vpnctl.cli.main import describe

ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


def outcome(run):
    body = run.json
    nodes = body["nodes"] if isinstance(body, dict) else body
    return {(each["node"], change["kind"], change["subject"]) for each in nodes for change in each["changes"]}


def test_the_dry_run_of_pruning_names_the_peer_that_the_real_run_removes(service, fleet):
    fi = fleet["fi.example.org"]
    fi.links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]
    service("node", "sync")
    told = outcome(service("node", "sync", "--prune-aliens", "--dry-run", "--json"))
    assert ("fi", "stale peer", f"wg0 {ALIEN}") in told
    assert ALIEN in fi.all_keys()
    assert service("node", "sync", "--prune-aliens", "--yes").code == 0
    assert ALIEN not in fi.all_keys()


COMMANDS = [
    ("peer", "add", "bob"),
    ("peer", "regen", "alice"),
    ("peer", "suspend", "alice"),
    ("peer", "resume", "carol"),
    ("peer", "revoke", "alice"),
    ("user", "block", "alice"),
    ("user", "unblock", "dave"),
    ("user", "remove", "alice"),
    ("user", "migrate", "alice", "--to", "fi", "--protocol", "amneziawg"),
    ("subscription", "grant", "erin", "--plan", "month"),
    ("subscription", "extend", "frank", "--days", "5"),
    ("subscription", "cancel", "frank"),
    ("node", "sync"),
    ("node", "provision", "fi"),
    ("endpoint", "add", "fi", "amneziawg"),
    ("endpoint", "set", "fi", "wg0", "--port", "4444"),
    ("endpoint", "upgrade", "fi", "awg0"),
    ("endpoint", "remove", "fi", "wg0", "--revoke-peers"),
]
OTHERWISE = {
    "event undo": "tests/service/test_many.py",
    "payment reconcile": "tests/sales/test_books.py",
    "node adopt": "tests/people/test_adoption.py",
    "endpoint rotate": "tests/people/test_rotation.py",
    "node evacuate": "tests/people/test_evacuation.py",
    "node rebalance": "tests/people/test_evacuation.py",
    "node rebuild": "tests/fleet/test_rebuild.py",
    "node update": "tests/lab/test_update.py",
    "inventory apply": "told in lines: below",
    "jobs run": "tests/jobs/test_due.py",
    "notice send": "no node hears of it",
}
"""Commands whose dry run is not about what nodes must be told."""


@pytest.fixture
def town(service, tmp_path):
    """People in each state that a verb ends or begins, and an endpoint of each kind."""
    service("user", "add", "alice", "bob", "carol", "dave", "erin", "frank")
    service("endpoint", "add", "fi", "amneziawg", "--option", "generation=1.0")
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n- {name: month, days: 30}\n")
    service("--yes", "inventory", "apply", str(plans))
    for name in ("alice", "carol", "dave", "erin", "frank"):
        service("peer", "add", name)
    service("peer", "suspend", "carol")
    service("user", "block", "dave")
    service("user", "set", "erin", "--limited")
    service("subscription", "grant", "frank", "--plan", "month")
    return service


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_dry_run_changes_nothing_and_tells_whether_the_real_run_changes_the_node(town, fleet, words, settings):
    fi = fleet["fi.example.org"]

    def keys():
        return {name: fi.all_keys(name) for name in fi.links}

    before = (dict(fi.files), keys(), dump(settings))
    said = town(*words, "--dry-run", "--json")
    assert said.code == 0, said.err
    assert (dict(fi.files), keys(), dump(settings)) == before
    files, live = {path: data for path, data in fi.files.items() if "token" not in path}, keys()
    assert town(*words, "--yes", "--json").code == 0
    after = {path: data for path, data in fi.files.items() if "token" not in path}
    assert bool(outcome(said)) == ((files, live) != (after, keys()))


def test_every_command_with_a_dry_run_is_compared_with_its_real_run():
    root = describe()
    context = click.Context(root, info_name="vpnctl")
    found = set()
    for noun in root.list_commands(context):
        group = root.get_command(context, noun)
        for verb in group.list_commands(context) if isinstance(group, click.Group) else ():
            if any(each.name == "dry_run" for each in group.get_command(context, verb).params):
                found.add(f"{noun} {verb}")
    assert found == {" ".join(words[:2]) for words in COMMANDS} | OTHERWISE.keys()


def test_the_dry_run_of_an_inventory_tells_the_lines_that_the_real_run_makes(service, tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text("users:\n- {name: zoe, devices: 2}\nplans:\n- {name: week, days: 7}\n")
    told = service("inventory", "apply", str(file), "--dry-run", "--json").json["changes"]
    assert len(told) == 2
    assert service("--yes", "inventory", "apply", str(file), "--json").json["changes"] == told


def dump(settings):
    lines = sqlite3.connect(settings.sqlite_path).iterdump()
    return [line for line in lines if not line.startswith(('INSERT INTO "job_run"', 'INSERT INTO "endpoint"'))]


def test_a_preview_names_people_and_not_their_keys(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fi = fleet["fi.example.org"]
    key = service("peer", "show", "alice", "--json").json["public_key"]
    del fi.links["wg0"].peers[key]
    said = service("node", "check").out
    assert "missing peer wg0 alice/main" in said
    assert key not in said
