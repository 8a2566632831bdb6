"""Jobs whose time has come, their history, and their dry runs."""

from __future__ import annotations

import pytest

from vpnctl import jobs


def test_due_jobs_are_those_whose_time_has_come(app, serve, clock):
    serve()
    assert jobs.due(app) == list(jobs.NAMES)
    for name in jobs.NAMES:
        jobs.run(app, name)
    assert jobs.due(app) == []
    for minutes, passed in ((1, 1), (4, 5)):
        clock.forward(minutes=minutes)
        assert jobs.due(app) == [name for name in jobs.NAMES if jobs.module(name).TIMER.every <= 60 * passed]
        assert "health" in jobs.due(app)
    assert "sync" in jobs.due(app)
    assert "prune" not in jobs.due(app)
    clock.forward(days=31)
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
