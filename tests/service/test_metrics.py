"""Figures for Prometheus."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from vpnctl import jobs
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions, trials
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse

PLANS = """
plans:
  - {name: trial, days: 3, trial: true}
  - {name: month, days: 30, prices: {EUR: 499}}
"""


def shop(app):
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["ann", "bob", "cyd"])


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
