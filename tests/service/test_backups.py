"""Backups: everything in one sealed file, compared before it counts; restored where there is nothing, and decided on."""

from __future__ import annotations

import json
import os
import stat
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import _fp
from vpnctl.rules.retention import kept

WG0 = "/etc/wireguard/wg0.conf"


@pytest.fixture
def settled(service):
    """alice and bob have a phone each; the recovery key is known."""
    for user in ("alice", "bob"):
        service("user", "add", user)
        service("peer", "add", f"{user}/phone")
    service.recovery = service("--yes", "vault", "renew-recovery", "--show").out.strip()
    return service


@pytest.fixture
def backup(settled, tmp_path):
    """A backup of that service, outside of its state."""
    made = settled("backup", "create", "--out", str(tmp_path / "elsewhere"), "--json")
    assert made.code == 0, made.err
    return tmp_path / "elsewhere" / json.loads(made.out)["backup"]["file"]


@pytest.fixture
def empty_machine(settings):
    """Forget everything that this machine has, as its loss does."""

    def lose():
        for path in [*settings.state_dir.glob("vpnctl.db*"), settings.key_file]:
            path.unlink()

    return lose


def restore(run, backup, *more, key=""):
    """Restore it; the settings go where the test is, not where this machine has its own."""
    config = backup.parent.parent / "vpnctl.yaml"
    said = f"{key or run.recovery}\n"
    return run("--yes", "--config", str(config), "backup", "restore", str(backup), *more, stdin=said)


def test_it_is_private_and_holds_no_secret_in_clear(backup, settled):
    raw = backup.read_bytes()
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    for word in (
        "alice",
        "PrivateKey",
        settled.recovery,
        settled("peer", "config", "alice/phone").out.split("PrivateKey = ")[1][:43],
    ):
        assert word.encode() not in raw
    assert not [path for path in backup.parent.iterdir() if path != backup], "nothing is left beside it"


def test_on_an_empty_machine_it_and_the_recovery_key_are_the_whole_service(
    backup, settled, settings, empty_machine, fleet, tmp_path
):
    before = {each: settled("peer", "config", f"{each}/phone").out for each in ("alice", "bob")}
    empty_machine()
    done = restore(settled, backup)
    assert done.code == 0, done.err
    assert {each: settled("peer", "config", f"{each}/phone").out for each in before} == before
    assert stat.S_IMODE(settings.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.sqlite_path.stat().st_mode) == 0o600
    assert "state_dir" in (tmp_path / "vpnctl.yaml").read_text()
    assert '"changes": []' in settled("node", "sync", "fi", "--dry-run", "--json").out
    assert settled("backup", "finish").code == 0
    assert "no backup was restored" in settled("backup", "finish").err
    assert '"changes": []' in settled("node", "sync", "fi", "--dry-run", "--json").out


def test_who_was_revoked_or_added_since_is_listed_and_nothing_comes_back_by_itself(
    backup, settled, empty_machine, fleet, clock
):
    fi = fleet["fi.example.org"]
    clock.forward(minutes=1)
    settled("peer", "revoke", "alice/phone")
    settled("user", "add", "carol")
    settled("peer", "add", "carol/phone")
    live = fi.live_keys()
    empty_machine()
    restore(settled, backup)
    assert settled("node", "sync", "fi").code == 7
    assert "vpnctl backup finish" in settled("status").out + settled("status").err
    asked = settled("backup", "finish")
    assert asked.code == 6
    assert "alice/phone is in the backup and not there" in asked.err
    assert "is there and not in the backup" in asked.err
    assert fi.live_keys() == live
    done = settled("--yes", "backup", "finish", "--missing", "revoke", "--unknown", "keep")
    assert done.code == 0, done.err
    assert fi.live_keys() == live, "carol stays, as an alien, and alice stays out"
    assert settled("peer", "list", "--user", "alice", "--json").json == []


@pytest.fixture(params=[False, True], ids=["node not changed", "node changed"])
def renewed(settled, empty_machine, tmp_path, clock, request):
    """Twelve more people bought a month; a backup was made; the month is over, and they have renewed since."""
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n- name: month\n  days: 30\n")
    assert settled("inventory", "apply", str(plans), "--yes").code == 0
    people = [f"u{number}" for number in range(12)]
    for name in people:
        settled("user", "add", name)
        settled("subscription", "grant", name, "--plan", "month")
        assert settled("peer", "add", f"{name}/phone").code == 0
    settled("jobs", "run", "sync", "usage")
    made = settled("backup", "create", "--out", str(tmp_path / "elsewhere"), "--json").json["backup"]["file"]
    for name in people if request.param else ():
        settled("subscription", "extend", name)
    clock.forward(days=31)
    empty_machine()
    assert restore(settled, tmp_path / "elsewhere" / made).code == 0
    return people


def test_who_renewed_since_is_cut_by_no_settle_and_told_nothing(renewed, settled, fleet):
    live = fleet["fi.example.org"].live_keys()
    held = settled("node", "sync", "fi")
    assert fleet["fi.example.org"].live_keys() == live
    assert held.code in (6, 7)
    assert held.code == 7 or "may have renewed since" in held.err
    assert "vpnctl backup finish" in held.err
    assert '"removed"' not in settled("node", "sync", "fi", "--dry-run", "--json").out
    for job in ("expire", "remind", "prune"):
        assert settled("jobs", "run", job).code == 6, job
    assert settled("event", "list", "--verb", "subscription.expired", "--json").json == []


def test_who_renewed_since_is_asked_for_and_kept_a_week_in_which_to_look_it_up(renewed, settled, fleet, clock):
    live = fleet["fi.example.org"].live_keys()
    asked = settled("backup", "finish")
    assert (asked.code, fleet["fi.example.org"].live_keys()) == (6, live)
    assert "u3 is let in there, and by the backup not any more (subscription ended)" in asked.err
    assert "--ended keep|cut" in asked.err
    assert settled("--yes", "backup", "finish", "--ended", "keep").code == 0
    assert fleet["fi.example.org"].live_keys() == live
    clock.forward(days=6, hours=23)
    settled("jobs", "run", "expire", "--yes")
    assert fleet["fi.example.org"].live_keys() == live
    clock.forward(hours=2)
    settled("node", "sync", "fi", "--cut-all")
    assert len(fleet["fi.example.org"].live_keys()) == len(live) - len(renewed)


def test_during_that_week_they_are_extended_on_the_terms_that_they_had(renewed, settled):
    settled("--yes", "backup", "finish", "--ended", "keep")
    done = settled("subscription", "extend", "u3")
    assert done.code == 0, done.err
    plans = [row["plan"] for row in settled("subscription", "list", "--user", "u3", "--json").json]
    assert sorted(plans) == ["after-restore", "month", "month"]


@pytest.mark.parametrize("period", ["week", "month", "rolling"])
def test_who_topped_up_since_is_kept_whatever_the_plan_counts(settled, empty_machine, tmp_path, fleet, period):
    plans = tmp_path / "plans.yaml"
    small = f"- name: small\n  days: 30\n  traffic: 1 MiB\n  traffic_period: {period}\n"
    plans.write_text(f"plans:\n{small}- name: large\n  days: 30\n  traffic_period: {period}\n")
    assert settled("inventory", "apply", str(plans), "--yes").code == 0
    settled("subscription", "grant", "alice", "--plan", "small")
    fi = fleet["fi.example.org"]
    both = fi.live_keys()
    for peer in fi.people():
        peer[3] = str(2**21)
    settled("jobs", "run", "usage", "sync")
    assert len(fi.live_keys()) == 1, "alice is cut"
    made = settled("backup", "create", "--out", str(tmp_path / "elsewhere"), "--json").json["backup"]["file"]
    settled("subscription", "grant", "alice", "--plan", "large")
    assert fi.live_keys() == both
    empty_machine()
    assert restore(settled, tmp_path / "elsewhere" / made).code == 0
    assert "alice is let in there, and by the backup not any more (traffic of this" in settled("backup", "finish").err
    done = settled("--yes", "backup", "finish", "--ended", "keep")
    assert done.code == 0, done.err
    settled("jobs", "run", "usage", "sync", "--yes")
    assert fi.live_keys() == both


def test_who_is_cut_by_a_decision_is_cut_at_once_however_many_they_are(renewed, settled, fleet):
    live = fleet["fi.example.org"].live_keys()
    assert settled("--yes", "backup", "finish", "--ended", "cut").code == 0
    assert len(fleet["fi.example.org"].live_keys()) == len(live) - len(renewed)


def test_what_was_decided_otherwise_is_done_otherwise(backup, settled, empty_machine, fleet):
    fi = fleet["fi.example.org"]
    both = fi.live_keys()
    settled("peer", "revoke", "alice/phone")
    settled("user", "add", "carol")
    settled("peer", "add", "carol/phone")
    empty_machine()
    restore(settled, backup)
    done = settled("--yes", "backup", "finish", "--missing", "restore", "--unknown", "prune")
    assert done.code == 0, done.err
    assert fi.live_keys() == both


def test_a_second_machine_with_the_same_backup_is_refused_by_every_node(
    backup, settled, settings, empty_machine, fleet
):
    empty_machine()
    restore(settled, backup)
    assert settled("backup", "finish").code == 0
    empty_machine()
    restore(settled, backup)
    assert settled("node", "sync", "fi").code == 7


def test_a_node_that_does_not_answer_is_decided_later(backup, settled, empty_machine, fleet):
    settled("peer", "revoke", "alice/phone")
    empty_machine()
    restore(settled, backup)
    fleet["fi.example.org"].down = True
    later = settled("--yes", "backup", "finish", "--missing", "revoke")
    assert (later.code, "still to be decided" in later.err) == (3, True)
    fleet["fi.example.org"].down = False
    assert settled("--yes", "backup", "finish", "--missing", "revoke").code == 0


@pytest.mark.parametrize("what", ["reinstalled", "interface down", "booted with units off"])
def test_where_nothing_serves_everybody_is_missing_and_nobody_comes_back_unasked(
    backup, settled, empty_machine, fleet, what
):
    settled("peer", "revoke", "alice/phone")
    empty_machine()
    restore(settled, backup)
    fi = fleet["fi.example.org"]
    fi.links.clear()
    if what == "reinstalled":
        fi.files.clear()
    if what != "interface down":
        fi.units.clear()
    assert settled("node", "sync", "fi").code == 7
    asked = settled("backup", "finish")
    assert asked.code == 6
    assert "alice/phone is in the backup and not there" in asked.err
    assert fi.links == {}
    settled("--yes", "backup", "finish", "--missing", "revoke")
    assert not fi.links or fi.live_keys() == set()


def test_a_changed_node_is_taken_over_only_when_its_other_master_is_gone(backup, settled, empty_machine, clock):
    clock.forward(minutes=1)
    settled("peer", "suspend", "alice/phone")
    empty_machine()
    restore(settled, backup)
    asked = settled("backup", "finish", "--missing", "restore")
    assert (asked.code, "gone for good?" in asked.err) == (6, True)


def test_who_was_suspended_in_the_backup_is_named_as_not_to_be_told(settled, empty_machine, tmp_path):
    settled("peer", "suspend", "alice/phone")
    settled("backup", "create", "--out", str(tmp_path / "b"))
    settled("peer", "revoke", "alice/phone")
    settled("peer", "regen", "bob/phone")
    empty_machine()
    restore(settled, next((tmp_path / "b").iterdir()))
    assert "cannot be told: alice/phone" in settled("backup", "finish").err


def test_nobody_is_moved_and_nothing_rebuilt_before_it_is_decided(backup, settled, empty_machine, fleet):
    settled("peer", "revoke", "alice/phone")
    empty_machine()
    restore(settled, backup)
    rebuild = ("--yes", "node", "rebuild", "fi", "--host", "root@new.example.org", "--host-key-fp", _fp())
    for words in (rebuild, ("--yes", "node", "trust", "fi", "--token", "a" * 32)):
        done = settled(*words)
        assert (done.code, "vpnctl backup finish" in done.err) == (5, True), done.err
    settled("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    moved = settled("--yes", "node", "evacuate", "fi", "--to", "de")
    assert moved.code == 5
    assert settled("peer", "list", "--node", "de", "--json").json == []


def test_a_node_that_will_never_answer_is_as_in_the_backup_when_somebody_says_so(backup, settled, empty_machine, fleet):
    empty_machine()
    restore(settled, backup)
    fleet["fi.example.org"].down = True
    assert "--lost fi" in settled("backup", "finish").err
    assert settled("backup", "finish", "--lost", "fi").code == 0
    rebuild = (
        "--yes",
        "node",
        "rebuild",
        "fi",
        "--host",
        "root@new.example.org",
        "--host-key-fp",
        _fp(),
        "--wait",
        "0",
    )
    settled(*rebuild)
    assert len(fleet["new.example.org"].live_keys()) == 2


def test_only_the_listed_strangers_are_pruned_and_a_killed_run_is_finished(
    settled, empty_machine, fleet, tmp_path, clock, monkeypatch
):
    from tests.fleet.test_aliens import ALIEN
    from vpnctl.actions.service import reviewing

    fi = fleet["fi.example.org"]
    fi.links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]
    settled("node", "sync", "fi")
    settled("backup", "create", "--out", str(tmp_path / "b"))
    clock.forward(minutes=1)
    settled("user", "add", "carol")
    settled("peer", "add", "carol/phone")
    carol = settled("peer", "show", "carol/phone", "--json").json["public_key"]
    empty_machine()
    restore(settled, next((tmp_path / "b").iterdir()))

    def killed(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(reviewing, "settle", killed)
        settled("--yes", "backup", "finish", "--unknown", "prune")
    settled("node", "sync", "fi")
    assert carol not in fi.links["wg0"].peers
    assert ALIEN in fi.links["wg0"].peers


def test_endpoints_that_were_added_since_are_named(backup, settled, empty_machine, fleet):
    settled("endpoint", "add", "fi", "amneziawg")
    empty_machine()
    restore(settled, backup)
    assert "awg0 serves there and is not in the backup" in settled("backup", "finish", "--missing", "restore").err


def test_what_is_left_of_a_given_up_database_keeps_a_restore_away(backup, settled, settings, empty_machine):
    empty_machine()
    log = settings.sqlite_path.with_name("vpnctl.db-wal")
    log.write_bytes(b"an old log")
    done = restore(settled, backup)
    assert (done.code, str(log) in done.err) == (2, True)
    assert not settings.sqlite_path.exists()


def test_another_services_backup_does_not_count_as_verified_here(backup, settled, app, tmp_path):
    from vpnctl.store import recovery, sealed_file, vault

    public, _ = recovery.create()
    other = tmp_path / f"other{'.vpnctl-backup'}"
    _, keys = sealed_file.new_key(public, vault.create(tmp_path / "other.key"))
    header = {"created_at": "2030-01-01T00:00:00+00:00", "schema": "0001", "keys": keys}
    with other.open("wb") as out:
        sealed_file.SealedFile(out, bytes(32), header).close()
    from vpnctl.actions.service import keeping

    assert (keeping.is_ours(app, backup), keeping.is_ours(app, other)) == (True, False)


@pytest.mark.parametrize("value", ['"x"', '"2030-01-01"', "5", "[" * 5000])
def test_odd_files_in_the_folder_are_passed_over(settled, settings, value):
    settled("backup", "create")
    good = next((settings.state_dir / "backups").iterdir())
    raw = good.read_bytes()
    header = raw.split(b"\n")[1]
    made = json.loads(header)["created_at"]
    odd = raw.replace(header, header.replace(f'"created_at":"{made}"'.encode(), f'"created_at":{value}'.encode()))
    (good.parent / "odd.vpnctl-backup").write_bytes(odd)
    assert [row["file"] for row in settled("backup", "list", "--json").json] == [good.name]
    assert settled("backup", "verify", "odd.vpnctl-backup").code == 9


def test_what_a_killed_run_left_in_clear_is_removed_by_the_next_one(settled, settings):
    import os

    left = settings.state_dir / ".vpnctl-aside-dead"
    left.mkdir(parents=True)
    (left / "vpnctl.db").write_text("secrets")
    os.utime(left, (1, 1))
    assert settled("backup", "create").code == 0
    assert not left.exists()


def test_messages_that_waited_then_are_not_sent_now(settled, empty_machine, tmp_path, monkeypatch):
    monkeypatch.setenv("VPNCTL_ADMIN_IDS", "4711")
    settled("jobs", "failed", "sync")
    settled("backup", "create", "--out", str(tmp_path / "b"))
    empty_machine()
    done = restore(settled, next((tmp_path / "b").iterdir()))
    assert "1 message waited then" in done.err
    assert [row["state"] for row in settled("notice", "list", "--json").json] == ["failed"]


@pytest.mark.parametrize("what", ["cut", "changed", "longer", "foreign", "header", "empty", "newer"])
def test_a_file_that_is_not_whole_is_refused_and_nothing_is_touched(backup, settled, settings, empty_machine, what):
    raw = backup.read_bytes()
    middle = len(raw) // 2
    header = raw.split(b"\n")[1]
    broken = {
        "cut": raw[:-40],
        "changed": raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :],
        "longer": raw + b"x",
        "foreign": b"PK\x03\x04" + raw,
        "header": raw.replace(b'"schema"', b'"scheme"', 1),
        "empty": b"",
        "newer": raw.replace(header, header.replace(b'"schema":"', b'"schema":"9')),
    }
    empty_machine()
    backup.write_bytes(broken[what])
    done = restore(settled, backup)
    assert done.code == 9, done.err
    assert "Traceback" not in done.err
    assert not settings.sqlite_path.exists()
    assert not settings.key_file.exists()


def test_a_database_that_is_there_is_never_written_over(backup, settled, settings):
    before = settings.sqlite_path.read_bytes()
    done = restore(settled, backup)
    assert (done.code, "there is a database already" in done.err) == (2, True)
    assert settings.sqlite_path.read_bytes() == before


def test_a_key_file_of_another_service_is_named(backup, settled, settings, empty_machine):
    from vpnctl.store import vault

    empty_machine()
    vault.create(settings.key_file)
    done = restore(settled, backup, "--recovery-key")
    assert (done.code, "belongs to another database" in done.err) == (9, True)
    assert not settings.sqlite_path.exists()


def test_another_recovery_key_opens_nothing(backup, settled, empty_machine):
    from vpnctl.store import recovery

    empty_machine()
    done = restore(settled, backup, key=recovery.create()[1].reveal())
    assert (done.code, "does not open this backup" in done.err) == (9, True)


def test_it_is_verified_here_with_the_key_file_and_anywhere_with_the_recovery_key(backup, settled, empty_machine):
    assert "are as they were" in settled("backup", "verify", str(backup)).err
    empty_machine()
    done = settled("backup", "verify", str(backup), "--recovery-key", stdin=f"{settled.recovery}\n")
    assert done.code == 0, done.err


def test_one_whose_database_renders_something_else_fails(settled, app, settings, tmp_path, monkeypatch):
    from vpnctl.actions.service import backups

    real = backups.render
    calls = []

    def lying(copy, now):
        calls.append(copy)
        return {**real(copy, now), "fi wg0": "0" * 64} if len(calls) == 1 else real(copy, now)

    monkeypatch.setattr(backups, "render", lying)
    done = settled("backup", "create", "--out", str(tmp_path / "b"))
    assert (done.code, "not what they were, such as fi wg0" in done.err) == (9, True)
    assert list((tmp_path / "b").iterdir()) == [], "a file that failed is not left under a name that counts"


def test_what_another_version_wrote_is_no_damage_where_this_one_renders_otherwise(backup, settled, monkeypatch):
    from vpnctl.actions.service import backups

    real = backups.render
    monkeypatch.setattr(backups, "render", lambda copy, now: {**real(copy, now), "fi wg0": "0" * 64})
    assert settled("backup", "verify", str(backup)).code == 9
    monkeypatch.setattr(backups, "__version__", "99.0")
    done = settled("backup", "verify", str(backup))
    assert done.code == 0, done.err
    assert "this version writes 1 of them otherwise" in done.err


def test_what_killed_runs_left_half_written_goes_with_a_later_one(settled, settings):
    folder = settings.state_dir / "backups"
    folder.mkdir()
    for name, age in (
        (".vpnctl-20260101T000000Z.vpnctl-backup.ab12", 90_000),
        (".vpnctl-20260102T000000Z.vpnctl-backup.cd34", 60),
    ):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    assert settled("backup", "create").code == 0
    assert [path.name[:18] for path in folder.iterdir() if path.name.startswith(".")] == [".vpnctl-20260102T0"]


def test_the_job_writes_compares_and_clears_and_doctor_knows_the_age(settled, settings, clock):
    for _ in range(3):
        clock.forward(days=1)
        assert settled("jobs", "run", "backup").code == 0
    rows = settled("backup", "list", "--json").json
    assert len(rows) == 3
    assert rows[0]["checked"] is not None
    assert settled("backup", "verify", rows[1]["file"]).code == 0
    assert "opened and compared" in settled("doctor").out + settled("doctor").err
    clock.forward(days=5)
    assert "the last one that was compared is 5 days old" in settled("status").out + settled("status").err


def test_the_last_compared_one_is_never_removed(app, settled, clock):
    from vpnctl.actions.service import keeping

    settled("jobs", "run", "backup")
    name = settled("backup", "list", "--json").json[0]["file"]
    newer = [f"vpnctl-2031{month:02}01T000000Z.vpnctl-backup" for month in range(1, 13)]
    assert keeping.old(app, [name, *newer, "notes.txt"]) == []
    assert len(keeping.old(app, [f"vpnctl-20300601T0000{n:02}Z.vpnctl-backup" for n in range(30)])) == 29


def test_seven_days_four_weeks_and_twelve_months_stay():
    start = datetime(2031, 1, 1, 3, tzinfo=UTC)
    times = [start + timedelta(days=day) for day in range(500)]
    stay = sorted(kept(times))
    assert stay[-7:] == times[-7:]
    assert len(stay) <= 7 + 4 + 12
    assert stay[0] >= times[-1] - timedelta(days=366)
    assert kept([]) == set()


def test_a_command_gets_the_file_and_a_failing_one_is_told(settled, tmp_path, monkeypatch, clock):
    said = tmp_path / "said"
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1" > {said}\n')
    hook.chmod(0o700)
    monkeypatch.setenv("VPNCTL_BACKUP_COMMAND", str(hook))
    assert settled("jobs", "run", "backup").code == 0
    assert said.read_text().strip().endswith(".vpnctl-backup")
    clock.forward(minutes=1)
    hook.write_text("#!/bin/sh\necho quota exceeded >&2\nexit 1\n")
    failed = settled("jobs", "run", "backup")
    assert failed.code != 0
    assert "quota exceeded" in failed.err


def test_a_node_that_is_retired_as_destroyed_needs_no_decision(backup, settled, empty_machine, fleet):
    empty_machine()
    restore(settled, backup)
    fleet["fi.example.org"].down = True
    settled("--yes", "node", "retire", "fi", "--destroyed", "--revoke-peers")
    assert "no backup was restored" in settled("backup", "finish").err
    assert "backup finish" not in settled("status").out
