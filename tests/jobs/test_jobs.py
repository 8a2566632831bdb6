"""Jobs: idempotent, alone, recorded; the timers and crontab lines that run them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vpnctl import jobs
from vpnctl.actions.exclusive import exclusive
from vpnctl.errors import Busy
from vpnctl.jobs import timers


def test_sync_heals_what_is_pending_and_exits_0_when_a_node_is_dead(service, fleet):
    service("user", "add", "alice")
    fleet["fi.example.org"].down = True
    service("peer", "add", "alice")
    run = service("jobs", "run", "sync")
    assert run.code == 0
    assert "1 pending" in run.err
    fleet["fi.example.org"].down = False
    assert service("jobs", "run", "sync").code == 0
    assert service("peer", "list", "--json").json[0]["state"] == "active"
    assert service("jobs", "list", "--json").json[0]["last_code"] == 0


def test_sync_finishes_a_migration_at_the_first_handshake(service, fleet, clock):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    service("user", "migrate", "alice", "--to", "de")
    service("jobs", "run", "sync")
    assert len(fleet["fi.example.org"].live_keys()) == 1, "no handshake yet"
    peer = fleet["de.example.org"].people()[0]
    peer[2] = str(int(clock().timestamp()))
    service("jobs", "run", "sync")
    assert fleet["fi.example.org"].live_keys() == set()
    assert [row["node"] for row in service("peer", "list", "--json").json] == ["de"]


def test_a_migration_ends_after_the_grace_counted_from_delivery(service, fleet, clock, tmp_path, monkeypatch):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    service("user", "migrate", "alice", "--to", "de")
    clock.forward(hours=23)
    service("jobs", "run", "sync")
    assert len(fleet["fi.example.org"].live_keys()) == 1
    clock.forward(hours=2)
    service("jobs", "run", "sync")
    assert fleet["fi.example.org"].live_keys() == set()


def test_a_move_to_a_node_that_is_down_hands_out_nothing_and_lets_no_grace_run(service, fleet, clock):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    fleet["de.example.org"].down = True
    run = service("user", "migrate", "alice", "--to", "de")
    assert (run.code, run.out) == (3, "")
    service("peer", "config", "alice")
    clock.forward(days=9)
    service("jobs", "run", "sync")
    assert len(fleet["fi.example.org"].live_keys()) == 1, "the old peer stays"
    fleet["de.example.org"].down = False
    again = service("user", "migrate", "alice", "--to", "de")
    assert again.code == 0
    assert "[Interface]" in again.out


def test_an_undelivered_successor_leaves_the_old_peer_alone_and_is_listed(service, fleet, clock, app):
    from vpnctl.actions.people import migration

    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    migration.start(app, "alice", migration.Destination("de"))
    clock.forward(days=90)
    service("jobs", "run", "sync")
    assert len(fleet["fi.example.org"].live_keys()) == 1
    assert "not handed out yet; the old one stays" in service("status").out


def test_a_job_runs_alone(app, serve):
    serve()
    with exclusive(app, "job-sync", Busy("it runs")), pytest.raises(Busy):
        jobs.run(app, "sync")


def test_units_are_valid_for_systemd(tmp_path):
    texts = timers.units("/bin/true", Path("/etc/my vpn/100%.yaml"), "root", bot=True)
    jobs_ = {f"vpnctl-{name}.{kind}" for name in jobs.NAMES for kind in ("service", "timer")}
    assert set(texts) == jobs_ | {"vpnctl-alert@.service", "vpnctl-bot.service"}
    for name in jobs.NAMES:
        assert "Persistent=true" in texts[f"vpnctl-{name}.timer"]
        assert "RandomizedDelaySec=" in texts[f"vpnctl-{name}.timer"]
        assert "TimeoutStartSec=" in texts[f"vpnctl-{name}.service"]
        assert f"OnFailure=vpnctl-alert@{name}.service" in texts[f"vpnctl-{name}.service"]
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def seconds(cron: str) -> int:
    """How often such a line of crontab starts something: every so many minutes, once an hour, a day or a week."""
    minute, hour, _day, _month, weekday = cron.split()
    if weekday != "*":
        return 7 * 86400
    if hour != "*":
        return 86400
    step = re.fullmatch(r"(?:\*|[0-9]+-59)/([0-9]+)", minute)
    return 60 if minute == "*" else 60 * int(step[1]) if step else 3600


@pytest.mark.parametrize("name", jobs.NAMES)
def test_timers_and_crontab_fields_and_seconds_say_the_same(name):
    timer = jobs.module(name).TIMER
    assert timer.every == seconds(timer.cron), timer
    assert timer.limit < timer.every or timer.every == 60, f"{name} may run longer than its interval"


def test_crontab_lines_have_a_time_limit_an_absolute_config_and_tell_of_failures(service):
    run = service("jobs", "install", "--cron", "--config", "/dev/null")
    assert run.code == 0
    lines = run.out.splitlines()[1:]
    assert len(lines) == len(jobs.NAMES)
    assert lines[0].startswith("*/5 * * * * timeout 240 ")
    assert "--config /dev/null jobs run sync || " in lines[0]
    assert lines[0].endswith("jobs failed sync")


@pytest.mark.parametrize("name", jobs.NAMES)
def test_a_job_waits_for_a_database_that_is_locked_for_a_while(app, serve, name):
    import sqlite3
    import threading

    serve()
    other = sqlite3.connect(app.settings.sqlite_path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.7, lambda: other.execute("ROLLBACK")).start()
    assert jobs.run(app, name).code == 0
    other.close()


def test_jobs_that_overlap_end_as_one_good_run(app, serve, clock):
    """Two runs of each of two jobs at once: one of each does it, the other says that it is at work already."""
    from concurrent.futures import ThreadPoolExecutor

    serve()

    def attempt(name):
        try:
            return jobs.run(app, name).code
        except Busy as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(attempt, ["sync", "usage", "sync", "usage"]))
    assert set(codes) <= {0, 8}
    assert 0 in codes


def _fp():
    from tests.conftest import _fp as found

    return found()


def test_the_drift_job_says_that_a_sync_heals_of_that_only_which_a_sync_changes(service, fleet):
    fake = fleet["fi.example.org"]
    fake.ways = {4: 1400}
    fake.files.pop("/etc/sysctl.d/60-vpnctl.conf")
    service("jobs", "run", "drift")
    told = {row["kind"]: str(row) for row in service("notice", "list", "--json").json}
    assert set(told) == {"drift", "not_ours"}
    assert "MTU" in told["not_ours"]
    assert "MTU" not in told["drift"]
