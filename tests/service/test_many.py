"""Many at once: from a file or a selection, previewed, each on its own; and taken back as far as time allows."""

from __future__ import annotations

import json

import pytest

from tests.conftest import _fp
from vpnctl.errors import InvalidInput
from vpnctl.rules.selection import Selection, parse


@pytest.fixture
def town(service, tmp_path):
    """Five people with a phone on fi, two of them on the plan `month`; a node de."""
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n  - {name: month, days: 30}\n  - {name: year, days: 365, prices: {EUR: 5}}\n")
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    for name in ("ada", "alan", "bob", "eve", "zoe"):
        service("user", "add", name)
        service("peer", "add", f"{name}/phone", "--node", "fi")
    service("--yes", "inventory", "apply", str(plans))  # without plans, everybody is unlimited
    for name in ("bob", "eve"):
        service("subscription", "grant", name, "--plan", "month")
    return service


def live(fleet):
    return len(fleet["fi.example.org"].live_keys())


def run_of(done):
    return json.loads(done.out)["run"]


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("plan=month", 2),
        ("user=a*", 2),
        ("node=fi", 5),
        ("node=de", 0),
        ("plan=month,user=eve", 1),
        ("device=phone", 5),
    ],
)
def test_a_selection_means_those_for_whom_all_of_it_holds(town, fleet, where, count):
    done = town("--yes", "peer", "suspend", "--where", where)
    assert done.code == 0, done.err
    assert live(fleet) == 5 - count


@pytest.mark.parametrize("text", ["", "plan", "plan=", "colour=red", "plan=a,plan=b", "=x"])
def test_what_selects_nothing_sensible_is_refused(text):
    with pytest.raises(InvalidInput):
        parse(text)


def test_all_parts_of_a_selection_are_kept():
    assert parse("plan=month, node=fi") == Selection(plan="month", node="fi")


def test_a_file_names_many_and_whoever_is_not_there_is_named(town, fleet, tmp_path):
    (tmp_path / "list").write_text("ada/phone\nnobody/phone\n# a comment\nzoe\n")
    done = town("--yes", "peer", "suspend", "--list", str(tmp_path / "list"))
    assert done.code == 5
    assert "not done for nobody/phone" in done.err
    assert live(fleet) == 3


def test_a_preview_cuts_nobody_and_without_an_answer_nothing_is_done(town, fleet):
    told = town("peer", "suspend", "--where", "node=fi", "--dry-run")
    assert (told.code, "would be suspended: ada/phone" in told.err) == (0, True)
    assert town("peer", "suspend", "--where", "node=fi").code == 6
    assert live(fleet) == 5


@pytest.mark.parametrize("words", [[], ["ada/phone", "--where", "node=fi"]])
def test_exactly_one_way_says_who_is_meant(town, fleet, words):
    assert town("--yes", "peer", "suspend", *words).code == 2
    assert live(fleet) == 5


def test_what_was_suspended_by_mistake_is_let_in_again_and_what_was_changed_since_stays(town, fleet):
    town("peer", "suspend", "zoe/phone")
    run = run_of(town("--yes", "--json", "peer", "suspend", "--where", "user=a*"))
    town("peer", "revoke", "alan/phone")
    back = town("--yes", "event", "undo", run[:8])
    assert back.code == 5
    assert "stays: peer.suspend alan/phone" in back.err
    assert live(fleet) == 3, "zoe was suspended by another run"
    again = town("--yes", "event", "undo", run)
    assert (again.code, live(fleet)) == (5, 3)


def test_many_are_extended_and_it_is_taken_back(town):
    before = town("subscription", "list", "--json").out
    done = town("--yes", "--json", "subscription", "extend", "--where", "plan=month", "--days", "3")
    assert done.code == 0, done.err
    assert town("--yes", "event", "undo", run_of(done)).code == 0
    ends = {row["user"]: row["ends_at"] for row in json.loads(before)}
    now = {
        row["user"]: row["ends_at"] for row in town("subscription", "list", "--json").json if not row["cancelled_at"]
    }
    assert now == ends


def test_a_gift_to_many_is_taken_back_and_who_was_unlimited_is_again(town, fleet):
    done = town("--yes", "--json", "subscription", "grant", "--plan", "month", "--where", "user=a*")
    assert town("user", "show", "ada", "--json").json["access"] == "month"
    assert town("--yes", "event", "undo", run_of(done)).code == 0
    assert town("user", "show", "ada", "--json").json["access"] == "unlimited"
    assert live(fleet) == 5


def test_what_was_paid_for_is_not_taken_back(town):
    town("subscription", "grant", "ada", "--plan", "year", "--paid", "INV-1")
    run = town("event", "list", "--json").json[-1]["run_id"]
    back = town("--yes", "event", "undo", run)
    assert (back.code, "it was paid for" in back.err) == (5, True)
    assert town("user", "show", "ada", "--json").json["access"] == "year"


def test_one_payment_is_not_for_many(town):
    done = town("--yes", "subscription", "grant", "--plan", "month", "--where", "node=fi", "--paid", "INV-1")
    assert (done.code, "one person's" in done.err) == (2, True)


def test_a_move_of_many_is_taken_back_but_for_who_connects_there_already(town, fleet, tmp_path):
    moved = town("--yes", "user", "migrate", "--where", "user=a*", "--to", "de", "--out", str(tmp_path / "new"))
    assert moved.code == 0, moved.err
    de = fleet["de.example.org"]
    key = next(row["public_key"] for row in town("peer", "list", "--node", "de", "--json").json if row["user"] == "ada")
    de.links["wg0"].peers[key][2] = str(de.now())
    town("node", "sync")
    run = next(row["run_id"] for row in town("event", "list", "--json").json if row["verb"] == "peer.migrate")
    back = town("--yes", "event", "undo", run)
    assert back.code == 5
    assert "stays: peer.migrate ada/phone" in back.err
    assert {row["user"] for row in town("peer", "list", "--node", "de", "--json").json} == {"ada"}


@pytest.mark.parametrize("run", ["abc", "zzzzzzzzzz", "00000000"])
def test_a_run_that_there_is_not_is_refused(town, run):
    assert town("--yes", "event", "undo", run).code in (2, 5)


def test_a_run_in_which_nothing_can_be_taken_back_says_so(town):
    run = town("event", "list", "--verb", "node.add", "--json").json[-1]["run_id"]
    back = town("--yes", "event", "undo", run)
    assert (back.code, "nothing of that run can be taken back" in back.err) == (5, True)


def test_waiting_for_a_node_ends_when_it_was_seen_there(town, fleet, monkeypatch):
    from vpnctl.cli import carry

    fi = fleet["fi.example.org"]
    fi.down = True
    looks = []

    def pause(_seconds):
        looks.append(1)
        fi.down = len(looks) < 3

    monkeypatch.setattr(carry.time, "sleep", pause)
    done = town("peer", "revoke", "ada/phone", "--wait", "60")
    assert (done.code, len(looks), live(fleet)) == (0, 3, 4)


def test_waiting_has_an_end(town, fleet):
    fleet["fi.example.org"].down = True
    assert town("peer", "revoke", "ada/phone", "--wait", "1").code == 3
