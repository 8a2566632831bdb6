"""Insight: figures for Prometheus, JSON logs, planning, the business month by month, jobs' lists and histories."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vpnctl import jobs
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions, trials
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.cli import charts
from vpnctl.reports import business
from vpnctl.rules.planning import Load, estimate

PLANS = """
plans:
  - {name: trial, days: 3, trial: true}
  - {name: month, days: 30, prices: {EUR: 499}}
"""
TODAY = date(2027, 1, 15)
GIB = 2**30


def shop(app):
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["ann", "bob", "cyd"])


# Prometheus


def families(app):
    jobs.run(app, "metrics")
    text = (app.settings.state_dir / "metrics.prom").read_text()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_the_figures_are_read_by_the_official_parser_and_are_right(app, serve, clock):
    serve()
    shop(app)
    trials.start(app, "ann")
    subscriptions.grant(app, "bob", "month")
    for name in ("sync", "health", "health"):
        clock.forward(minutes=1)
        jobs.run(app, name)
    found = families(app)

    def value(name, **labels):
        return next(each.value for each in found[name].samples if labels.items() <= each.labels.items())

    assert value("vpnctl_users") == 3
    assert value("vpnctl_trials_active") == 1
    assert value("vpnctl_subscriptions_active", age_days="30") == 1
    assert value("vpnctl_subscriptions_active", age_days="+") == 0
    assert value("vpnctl_node_health", node="fi", verdict="up") == 1
    assert value("vpnctl_node_health", node="fi", verdict="down") == 0
    assert value("vpnctl_node_disk", node="fi") == 20
    assert value("vpnctl_job_exit_code", job="sync") == 0
    assert all(family.documentation for family in found.values())


def test_figures_are_named_as_promtools_linter_wants_them(app, serve):
    """What `promtool check metrics` would complain of: names, units, counters without _total, missing help."""
    serve()
    for family in families(app).values():
        assert family.name.replace("_", "").isalnum() and family.name.islower(), family.name
        assert family.documentation, family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_minutes", "_kb")), family.name
        if family.type == "counter":
            assert all(each.name.endswith("_total") for each in family.samples), family.name
        else:
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name


def test_the_file_is_whole_readable_by_others_and_replaced_at_once(app, serve, tmp_path):
    serve()
    path = tmp_path / "textfile" / "vpnctl.prom"
    path.parent.mkdir()
    known = replace(app, settings=replace(app.settings, metrics_file=str(path)))
    jobs.run(known, "metrics")
    first = path.stat()
    assert first.st_mode & 0o777 == 0o644
    jobs.run(known, "metrics")
    assert path.stat().st_ino != first.st_ino
    assert [each.name for each in path.parent.iterdir()] == ["vpnctl.prom"]


def test_a_place_that_cannot_be_written_is_trouble(service, monkeypatch):
    monkeypatch.setenv("VPNCTL_METRICS_FILE", "/proc/nowhere/x.prom")
    assert service("jobs", "run", "metrics").code == 9


# Logs


def test_json_logs_have_one_line_per_committed_event_and_job(service, fleet):
    run = service("--log-format", "json", "user", "add", "alice")
    (line,) = [json.loads(line) for line in run.err.splitlines() if line.startswith("{")]
    assert (line["event"], line["subject"], line["level"]) == ("user.add", "alice", "info")
    assert line["ts"].endswith("Z")
    assert service("--log-format", "json", "user", "add", "alice").err.count("{") == 0, "nothing was committed"
    assert service("--log-format", "json", "peer", "add", "alice", "--dry-run").err.count("{") == 0
    run = service("jobs", "run", "sync", "--log-format", "json")
    last = json.loads(run.err.splitlines()[0])
    assert (last["event"], last["code"], last["actor"]) == ("job.done", 0, "job:sync")
    assert service("--log-format", "xml", "user", "list").code == 2


def test_logs_hold_no_secret(service):
    service("user", "add", "alice")
    run = service("--log-format", "json", "peer", "add", "alice", "--json")
    secret = next(line[13:] for line in run.json["peers"][0]["config"].splitlines() if line.startswith("PrivateKey"))
    psk = next(line[15:] for line in run.json["peers"][0]["config"].splitlines() if line.startswith("PresharedKey"))
    assert secret not in run.err
    assert psk not in run.err


# Planning


@pytest.mark.parametrize(
    ("load", "room", "full_on", "why"),
    [
        (Load(100, 30, 50, 0, 30, 200, None), 100, TODAY + timedelta(days=100), "peers"),
        (Load(100, 0, 50, 0, 30, 200, None), 100, None, ""),
        (Load(100, -5, 50, 0, 30, 200, None), 100, None, ""),
        (Load(200, 30, 50, 0, 30, 200, None), 0, TODAY, "peers"),
        (Load(250, 30, 50, 0, 30, 200, None), 0, TODAY, "peers"),
        (Load(100, 30, 50, 500 * GIB, 30, None, 1000 * GIB), 100, TODAY + timedelta(days=100), "traffic"),
        (Load(100, 30, 50, 500 * GIB, 30, 150, 1000 * GIB), 50, TODAY + timedelta(days=50), "peers"),
        (Load(100, 30, 50, 250 * GIB, 15, None, 1000 * GIB), 100, TODAY + timedelta(days=100), "traffic"),
        (Load(100, 30, 0, 0, 1, None, 1000 * GIB), None, None, ""),
        (Load(0, 1, 0, 0, 1, 10**6, None), 10**6, None, ""),
        (Load(3, 3, 0, 0, 1, None, None), None, None, ""),
    ],
)
def test_when_a_node_is_full(load, room, full_on, why):
    found = estimate(load, TODAY)
    assert (found.room, found.full_on, found.why) == (room, full_on, why)


def test_the_estimate_says_what_an_active_device_moves():
    assert estimate(Load(100, 0, 50, 500 * GIB, 15, None, None), TODAY).per_active == 20 * GIB


def test_status_warns_of_full_nodes_and_bad_health(service, fleet, clock):
    service("node", "set", "fi", "--capacity", "2")
    service("user", "add", "u1", "u2")
    service("peer", "add", "u1", "u2")
    fleet["fi.example.org"].udp_blocked = True
    for _ in range(3):
        clock.forward(minutes=1)
        service("jobs", "run", "health")
    out = service("status").out
    assert "fi: full" in out
    assert "fi: blocked" in out


# Business


def test_months_tell_active_begun_ended_trials_and_revenue(app, clock):
    clock.now = datetime(2027, 1, 10, tzinfo=UTC)
    shop(app)
    trials.start(app, "ann")
    subscriptions.grant(app, "bob", "month", paid="p1")
    clock.now = datetime(2027, 1, 11, tzinfo=UTC)
    subscriptions.grant(app, "ann", "month", paid="p2")
    clock.now = datetime(2027, 2, 20, tzinfo=UTC)
    with app.store.read() as tx:
        january, february = business.months(tx, clock(), 2)
    assert (january.month, january.active, january.begun, january.trials, january.converted) == ("2027-01", 2, 3, 1, 1)
    assert january.revenue == {"EUR": 998}
    assert (february.active, february.begun, february.ended, february.revenue) == (0, 0, 2, {})


def test_the_business_is_drawn(service, tmp_path):
    from PIL import Image

    path = tmp_path / "stats.png"
    assert service("subscription", "stats", "--months", "3", "--png", str(path)).code == 0
    assert Image.open(path).size == (900, 480)
    assert [row["month"] for row in service("subscription", "stats", "--months", "2", "--json").json] == [
        "2026-12",
        "2027-01",
    ]


def test_bars_show_anything_above_zero_and_never_more_than_their_width():
    assert charts.bar(0, 10) == ""
    assert charts.bar(1, 10**9) == "▏"
    assert len(charts.bar(10, 10)) == charts.BAR


# Jobs


def test_due_jobs_are_those_whose_time_has_come(app, serve, clock):
    serve()
    assert jobs.due(app) == list(jobs.NAMES)
    for name in jobs.NAMES:
        jobs.run(app, name)
    assert jobs.due(app) == []
    clock.forward(minutes=1)
    assert jobs.due(app) == ["health", "notify", "metrics"]
    clock.forward(minutes=4)
    assert set(jobs.due(app)) == {"health", "notify", "metrics", "sync", "usage"}
    clock.forward(days=3)
    assert jobs.due(app) == list(jobs.NAMES)


def test_one_due_job_that_cannot_run_keeps_none_of_the_others_from_running(service, clock, settings):
    service("jobs", "run", "--due")
    clock.jump(days=40)
    run = service("jobs", "run", "--due", "--json")
    assert run.code == 6
    codes = {row["job"]: row["code"] for row in run.json}
    assert codes["expire"] == codes["usage"] == codes["remind"] == codes["prune"] == 6
    assert codes["sync"] == codes["health"] == codes["metrics"] == 0


def test_the_history_shows_what_was_killed(app, serve, clock, monkeypatch):
    serve()

    def killed(*_):
        raise KeyboardInterrupt

    jobs.run(app, "sync")
    clock.forward(minutes=5)
    monkeypatch.setattr("vpnctl.jobs.sync.run", killed)
    with pytest.raises(KeyboardInterrupt):
        jobs.run(app, "sync")
    newest, before = jobs.history(app, "sync", 5)
    assert (newest.finished_at, newest.code) == (None, None)
    assert before.code == 0
    monkeypatch.undo()


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_dry_run_of_any_job_changes_nothing(service, fleet, app, name):
    fi = fleet["fi.example.org"]
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fi.people()[0][2:] = ["1000", "5", "5"]

    def everything():
        import sqlalchemy as sa

        from vpnctl.store import models

        with app.store.read() as tx:
            return [
                tx.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
                for table in models.metadata.sorted_tables
                if table.name != "endpoint"  # a handshake notes its time, so that the next one is later
            ], fi.writes

    before = everything()
    assert service("jobs", "run", name, "--dry-run").code == 0
    assert everything() == before


def test_lists_of_people_show_their_access(service, app, clock, tmp_path):
    path = tmp_path / "plans.yaml"
    path.write_text(PLANS)
    service("inventory", "apply", str(path), "--yes")
    service("user", "add", "ann", "bob", "cyd", "--unlimited")
    service("user", "set", "bob", "--limited")
    service("subscription", "grant", "ann", "--plan", "month")
    rows = {row["name"]: row for row in service("user", "list", "--json").json}
    assert rows["ann"]["access"] == "month"
    assert rows["ann"]["until"] == (clock() + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert rows["bob"]["access"] == "no access granted"
    assert rows["cyd"]["access"] == "unlimited"
    service("peer", "add", "bob")
    assert [row["user"] for row in service("peer", "list", "--orphaned", "--json").json] == ["bob"]
    assert service("peer", "list", "--pending", "--json").json == []
    assert service("plan", "list", "--json").json[1]["active"] == 1
    assert service("plan", "show", "month", "--json").json["prices"] == {"EUR": 499}
    assert service("plan", "show", "week").code == 5
    assert service("subscription", "list", "--state", "gone").code == 2
    assert service("subscription", "cancel", "ann", "--yes").code == 0
    assert service("subscription", "list", "--user", "ann", "--json").json[0]["state"] == "cancelled"
    assert service("trial", "start", "cyd").code == 5
    exported = service("inventory", "export", "--users").out
    again = tmp_path / "again.yaml"
    again.write_text(exported)
    assert "nothing to change" in service("inventory", "apply", str(again)).err
