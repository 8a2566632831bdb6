"""A dry run changes nothing and tells what the real run does."""

from __future__ import annotations

import sqlite3

import pytest

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


@pytest.mark.parametrize(
    "words",
    [
        ("peer", "add", "bob"),
        ("peer", "regen", "alice"),
        ("peer", "suspend", "alice"),
        ("peer", "revoke", "alice"),
        ("user", "block", "alice"),
        ("user", "remove", "alice"),
        ("node", "sync"),
        ("endpoint", "set", "fi", "wg0", "--port", "4444"),
    ],
    ids=" ".join,
)
def test_a_dry_run_changes_nothing_and_tells_whether_the_real_run_changes_the_node(service, fleet, words, settings):
    service("user", "add", "alice", "bob")
    service("peer", "add", "alice")
    fi = fleet["fi.example.org"]
    before = (dict(fi.files), fi.all_keys(), dump(settings))
    told = service(*words, "--dry-run", "--json")
    assert (dict(fi.files), fi.all_keys(), dump(settings)) == before
    files, keys = {path: data for path, data in fi.files.items() if "token" not in path}, fi.all_keys()
    service(*words, "--yes", "--json")
    after = {path: data for path, data in fi.files.items() if "token" not in path}
    assert bool(outcome(told)) == ((files, keys) != (after, fi.all_keys()))


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
