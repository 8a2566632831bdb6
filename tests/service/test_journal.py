"""JSON logs."""

from __future__ import annotations

import json


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
