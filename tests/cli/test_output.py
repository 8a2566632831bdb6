"""What the screens look like: lines that fit, values as people write them."""

from __future__ import annotations

import sys

import pytest

from vpnctl.actions.service.inventory_form import export
from vpnctl.cli import front
from vpnctl.rules import sizes


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 40 columns."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")


def test_a_long_line_is_broken_at_words(narrow):
    shown = front.wrapped("    " + "one two three " * 12).split("\n")
    assert max(map(len, shown)) <= 40
    assert {word for line in shown for word in line.split()} == {"one", "two", "three"}
    assert shown[0].startswith("    o")


def test_a_line_with_a_command_stays_whole_so_that_it_can_be_copied(narrow):
    line = "hint: vpnctl endpoint set helsinki wg0 --port 51821 --pool 10.66.0.0/16"
    assert front.wrapped(line) == line


def test_nothing_is_broken_where_no_terminal_is(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    line = "one two three " * 12
    assert front.wrapped(line) == line


def test_the_audit_shows_values_as_people_write_them(service):
    service("user", "add", "alice")
    service("user", "set", "alice", "--devices", "3")
    out = service("event", "list", "--verb", "user").out
    assert "device_limit=3" in out
    assert not set("{}[]'") & set(out), out
    assert "None" not in out
    assert "True" not in out


def test_jobs_say_how_often_they_run(service):
    rows = {row["job"]: row["interval"] for row in service("jobs", "list", "--json").json}
    assert rows["sync"] == "5 min"
    assert not any("*" in every for every in rows.values())


def test_statistics_begin_with_the_first_month_of_anything(service):
    service("inventory", "apply", "-", "--yes", stdin="plans: [{name: month, days: 30}]")
    service("user", "add", "alice")
    service("subscription", "grant", "alice", "--plan", "month")
    assert len(service("subscription", "stats", "--months", "6").out.splitlines()) == 2
    assert len(service("subscription", "stats", "--months", "6", "--json").json) == 6
    assert len(service("traffic", "show", "--months", "6").out.splitlines()) == 2
    assert len(service("traffic", "show", "--months", "6", "--json").json) == 6


def test_a_sync_names_the_nodes_that_it_changed(service, fleet):
    fleet["fi.example.org"].links["wg0"].addresses.clear()
    assert "1 changed (fi)" in service("jobs", "run", "sync").err


def test_unknown_health_says_when_it_will_be_known(service):
    assert "1 unknown (a verdict takes" in service("jobs", "run", "health").err


def test_a_grant_names_devices_outside_the_plans_locations(service):
    service("inventory", "apply", "-", "--yes", stdin="plans: [{name: south, days: 30, locations: [rome]}]")
    service("user", "add", "alice")
    service("peer", "add", "alice", "--device", "phone")
    said = service("subscription", "grant", "alice", "--plan", "south").err
    assert "alice/phone stays on fi, but the plan is for rome only" in said
    assert "vpnctl user migrate alice --device phone --to NODE" in said


def test_amounts_are_exported_as_people_write_them(service, app):
    service("node", "set", "fi", "--traffic-limit", "500 GiB")
    assert "traffic_limit: 500 GiB" in export(app)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1024, "1 KiB"),
        (500 << 30, "500 GiB"),
        (10**12, "1 TB"),
        (1_500_000, "1500 KB"),
        (10**17 + 1, "100000000000000001"),
    ],
)
def test_a_written_size_is_read_back_exactly(number, text):
    assert sizes.written_size(number) == text
    assert sizes.size(text) == number


def test_a_run_noted_by_a_clock_that_ran_ahead_is_not_the_last_one(service, clock):
    clock.jump(days=400)
    assert service("jobs", "run", "expire").code == 6
    clock.jump(days=-400)
    service("--yes", "jobs", "run", "expire")
    rows = {row["job"]: row for row in service("jobs", "list", "--json").json}
    assert rows["expire"]["last_code"] == 0
    assert "exit code 6" not in service("status").out


def test_a_payment_in_one_of_several_currencies_is_not_guessed(service):
    plans = "plans: [{name: month, days: 30, prices: {EUR: 499, RUB: 45000}}]"
    service("inventory", "apply", "-", "--yes", stdin=plans)
    service("user", "add", "alice")
    said = service("subscription", "grant", "alice", "--plan", "month", "--paid", "p1")
    assert (said.code, "--currency: EUR, RUB" in said.err) == (2, True)
    assert service("subscription", "grant", "alice", "--plan", "month", "--paid", "p1", "--currency", "RUB").code == 0


def test_a_dry_grant_says_from_when_until_when(service):
    service("inventory", "apply", "-", "--yes", stdin="plans: [{name: month, days: 30}]")
    service("user", "add", "alice")
    said = service("subscription", "grant", "alice", "--plan", "month", "--dry-run")
    assert "would be: alice: month from now until" in said.err
    assert service("subscription", "list", "--json").json == []
