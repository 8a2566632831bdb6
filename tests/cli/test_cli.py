"""The contract of the command line: exit codes, hints, JSON, no traceback, nothing lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import cannot
from vpnctl.cli.main import NOUNS, global_first

BAD = yaml.safe_load((Path(__file__).parents[1] / "cases/cli.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", BAD, ids=lambda case: " ".join(case["args"])[:60].encode("ascii", "replace").decode())
def test_bad_input_gets_a_clear_error_its_code_and_a_hint(service, case):
    for setup in case.get("first", []):
        assert service(*setup).code == 0
    run = service(*case["args"], stdin=case.get("stdin", ""))
    assert run.code == case["code"], run
    assert run.err.startswith(("error: ", "note: ")) and "error: " in run.err
    assert case["says"] in run.err
    assert case.get("hint", "hint: ") in run.err
    assert "Traceback" not in run.err
    assert not any(ord(letter) < 32 and letter != "\n" for letter in run.err)
    as_json = service(*case["args"], "--json", stdin=case.get("stdin", ""))
    assert as_json.code == case["code"]
    assert set(as_json.json) == {"error", "code", "hint"}
    assert as_json.json["code"] == case["code"]


def test_no_command_shows_a_traceback_or_values_for_a_bug(service, monkeypatch):
    def broken(*_args, **_more):
        raise KeyError("a secret value")

    monkeypatch.setattr("vpnctl.actions.people.users.add", broken)
    run = service("user", "add", "alice")
    assert run.code == 1
    assert "a bug in vpnctl: KeyError" in run.err
    assert "secret value" not in run.err


def test_global_options_may_stand_anywhere():
    assert global_first(["user", "list", "--json"]) == ["--json", "user", "list"]
    assert global_first(["peer", "add", "x", "--config", "f", "-y"]) == ["--config", "f", "-y", "peer", "add", "x"]
    assert global_first(["a", "--", "--json"]) == ["a", "--", "--json"]


def test_a_config_goes_to_stdout_and_talk_to_stderr(service):
    service("user", "add", "alice")
    run = service("peer", "add", "alice")
    assert run.code == 0
    assert run.out.startswith("[Interface]\nPrivateKey = ")
    assert run.err == "added alice/main: seen on fi\n"


def test_a_config_is_printed_also_while_the_node_is_down_with_exit_3(service, fleet):
    service("user", "add", "alice")
    fleet["fi.example.org"].down = True
    run = service("peer", "add", "alice")
    assert run.code == 3
    assert run.out.startswith("[Interface]")
    assert "saved, but pending on fi" in run.err
    body = service("peer", "suspend", "alice", "--json")
    assert body.code == 3
    assert [each["node"] for each in body.json["pending"]] == ["fi"]


def test_the_same_config_comes_again(service):
    service("user", "add", "alice")
    first = service("peer", "add", "alice").out
    assert service("peer", "config", "alice").out == first
    assert service("peer", "config", "alice", "--json").json["config"] == first


def test_with_secrets_discarded_a_config_comes_once(service, monkeypatch):
    monkeypatch.setenv("VPNCTL_CLIENT_SECRETS", "discard")
    service("user", "add", "alice")
    assert "PrivateKey" in service("peer", "add", "alice").out
    run = service("peer", "config", "alice")
    assert run.code == 5
    assert "vpnctl peer regen alice/main" in run.err


def test_files_are_private_named_for_clients_and_never_overwritten(service, tmp_path):
    service("user", "add", "alice")
    run = service("peer", "add", "alice", "--device", "phone", "--out", str(tmp_path), "--png", str(tmp_path / "x.png"))
    assert run.code == 0
    assert run.out == ""
    target = tmp_path / "alice-phone.conf"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "x.png").stat().st_mode) == 0o600
    taken = service("peer", "add", "alice", "--device", "tv", "--out", str(target))
    assert taken.code == 2
    assert service("peer", "list", "--json").json[0]["device"] == "phone"
    assert len(service("peer", "list", "--json").json) == 1, "found before anything was changed"


def test_a_question_without_a_terminal_names_its_flag_and_changes_nothing(service):
    service("user", "add", "alice")
    run = service("user", "remove", "alice")
    assert run.code == 6
    assert "--yes" in run.err
    assert service("user", "show", "alice").code == 0
    assert service("user", "remove", "alice", "--yes").code == 0


def test_lists_are_arrays_and_shows_are_objects(service):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    for noun in ("node", "endpoint", "user", "peer", "event", "jobs"):
        rows = service(noun, "list", "--json").json
        assert isinstance(rows, list)
        assert rows
        assert all(key == key.lower() for key in rows[0])
    for args in (
        ("node", "show", "fi"),
        ("endpoint", "show", "fi", "wg0"),
        ("user", "show", "alice"),
        ("peer", "show", "alice"),
        ("status",),
    ):
        assert isinstance(service(*args, "--json").json, dict)
    changed = service("user", "set", "alice", "--note", "x", "--json").json
    assert changed["changed"] is True
    assert changed["pending"] == []
    assert changed["users"][0]["note"] == "x"


def test_a_display_name_of_any_script_is_shown_and_never_reaches_the_node(service, fleet):
    service("user", "add", "alice", "--display-name", "Алиса [bold]x[/bold]")
    service("peer", "add", "alice")
    assert "Алиса [bold]x[/bold]" in service("user", "list").out
    sent = b"".join(data for _, data in fleet["fi.example.org"].files.values())
    assert "Алиса".encode() not in sent
    assert b"alice" not in sent


def test_pages_of_a_long_list_follow_each_other(service):
    service("user", "add", *[f"u{number:02}" for number in range(7)])
    run = service("user", "list", "--limit", "3")
    assert [line.split()[0] for line in run.out.splitlines()[1:]] == ["u00", "u01", "u02"]
    assert "--after u02" in run.err
    assert [row["name"] for row in service("user", "list", "--limit", "3", "--after", "u05", "--json").json] == ["u06"]


def test_a_dry_run_of_each_verb_changes_nothing(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fake = fleet["fi.example.org"]
    before = (dict(fake.files), service("peer", "list", "--json").out, service("event", "list", "--json").out)
    for args in (
        ("peer", "add", "alice", "--device", "x"), ("peer", "suspend", "alice"), ("peer", "revoke", "alice"), ("peer", "regen", "alice"),
        ("user", "block", "alice"), ("endpoint", "set", "fi", "wg0", "--port", "4444"), ("endpoint", "remove", "fi", "wg0", "--revoke-peers"),
        ("endpoint", "add", "fi", "wireguard"), ("node", "sync"), ("node", "provision", "fi"),
    ):  # fmt: skip
        run = service(*args, "--dry-run")
        assert run.code == 0, (args, run)
        assert (
            dict(fake.files),
            service("peer", "list", "--json").out,
            service("event", "list", "--json").out,
        ) == before
    assert "write /etc/wireguard/wg0.conf" in service("peer", "revoke", "alice", "--dry-run").out


def test_erasing_a_person_leaves_no_name_anywhere(service, settings):
    service("user", "add", "zaphod", "--display-name", "Zaphod B", "--telegram-id", "4242424242")
    service("peer", "add", "zaphod", "--device", "heartofgold")
    service("user", "remove", "zaphod", "--erase", "--yes")
    import sqlite3

    dump = "\n".join(sqlite3.connect(settings.state_dir / "vpnctl.db").iterdump()).lower()
    for trace in ("zaphod", "4242424242", "heartofgold"):
        assert trace not in dump
    assert service("peer", "list", "--revoked", "--json").json[0]["state"] == "revoked"


def test_the_device_limit_holds(service):
    service("user", "add", "alice", "--devices", "1")
    assert service("peer", "add", "alice").code == 0
    run = service("peer", "add", "alice", "--device", "tv")
    assert run.code == 5
    assert "1 of 1 devices" in run.err


def test_a_new_port_tells_who_needs_a_new_file(service):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    assert service("endpoint", "set", "fi", "wg0", "--port", "4444").code == 6
    run = service("endpoint", "set", "fi", "wg0", "--port", "4444", "--yes")
    assert run.code == 0
    assert "alice/main" in run.err
    assert ":4444" in service("peer", "config", "alice").out


def test_retire_needs_an_empty_node_or_a_word(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    assert service("node", "retire", "fi", "--yes").code == 5
    fleet["fi.example.org"].down = True
    assert service("node", "retire", "fi", "--revoke-peers", "--yes").code == 3
    assert service("node", "retire", "fi", "--destroyed", "--yes").code == 0
    assert service("node", "list", "--json").json == []
    assert service("status", "--json").json["pending_peers"] == 0


def test_doctor_finds_what_is_wrong(service, settings):
    assert service("doctor").code == 0
    settings.key_file.chmod(0o644)
    run = service("doctor")
    assert run.code == 9
    assert "can be read by others" in run.out
    settings.key_file.chmod(0o600)
    settings.state_dir.chmod(0o755)
    assert service("doctor").code == 9


def test_the_recovery_key_is_shown_once_and_confirmed_by_typing_it(cli):
    key = cli("init", "--yes").out.strip()
    assert key.startswith("vpnctl-recovery-")
    assert cli("init", "--yes").out == ""
    assert "vpnctl vault confirm" in cli("doctor").out
    assert cli("vault", "confirm", stdin="wrong\n").code == 2
    assert cli("vault", "confirm", stdin=key + "\n").code == 0
    assert "recovery key confirmed" in cli("doctor").out


def real(*args, env=None, **more):
    return subprocess.run(
        [sys.executable, "-m", "vpnctl", *args],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=60,
        **more,
    )


def test_help_imports_nothing_heavy():
    code = "import sys; from vpnctl.cli.main import main; main(['--help']); print([m for m in ('sqlalchemy', 'paramiko', 'pydantic', 'telebot', 'rich', 'cryptography', 'alembic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_has_help(noun):
    done = real(noun, "--help")
    assert done.returncode == 0
    assert "Usage: vpnctl" in done.stdout


def test_state_is_private_whatever_the_umask(tmp_path):
    env = {
        **os.environ,
        "HOME": str(tmp_path),
        "VPNCTL_STATE_DIR": str(tmp_path / "s"),
        "VPNCTL_KEY_FILE": str(tmp_path / "k/key"),
    }
    done = subprocess.run(
        ["sh", "-c", f"umask 000; exec {sys.executable} -m vpnctl init --yes"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for path in [tmp_path / "s", tmp_path / "k", *(tmp_path / "s").rglob("*"), tmp_path / "k/key"]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_read_only_database_reads_and_says_why_it_does_not_write(tmp_path):
    if os.geteuid() != 0:
        cannot("a read-only mount", "needs root")
    env = {
        **os.environ,
        "HOME": str(tmp_path),
        "VPNCTL_STATE_DIR": str(tmp_path / "s"),
        "VPNCTL_KEY_FILE": str(tmp_path / "k/key"),
    }
    real("init", "--yes", env=env)
    inner = f'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec {sys.executable} -m vpnctl "$@"'
    call = ["unshare", "-m", "sh", "-c", inner, "sh", str(tmp_path / "s")]
    done = subprocess.run([*call, "user", "add", "alice"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(service):
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m vpnctl --help | true"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_json_is_ascii_so_that_any_terminal_can_take_it(service):
    service("user", "add", "alice", "--display-name", "Алиса")
    out = service("user", "list", "--json").out
    assert out.isascii()
    assert json.loads(out)[0]["display_name"] == "Алиса"


@pytest.mark.parametrize("redirect", ["> /dev/full", ">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("options", ["", "--json"])
def test_an_output_that_cannot_be_written_is_no_bug(tmp_path, redirect, options):
    env = {
        **os.environ,
        "HOME": str(tmp_path),
        "VPNCTL_STATE_DIR": str(tmp_path / "s"),
        "VPNCTL_KEY_FILE": str(tmp_path / "k"),
    }
    assert real("init", "--yes", env=env).returncode == 0
    for command in ("user list", "user show nobody"):
        done = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m vpnctl {command} {options} {redirect}"],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 5, 9), done
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr


@pytest.mark.parametrize("folder", ["/proc/nope", "/dev/null"])
def test_a_state_folder_that_cannot_be_made_is_named(tmp_path, folder):
    env = {**os.environ, "HOME": str(tmp_path), "VPNCTL_STATE_DIR": folder, "VPNCTL_KEY_FILE": str(tmp_path / "k")}
    done = real("init", "--yes", env=env)
    assert done.returncode == 9
    assert folder in done.stderr


@pytest.mark.parametrize("args", [(), ("user",)])
def test_without_a_command_the_help_is_shown_as_help(cli, args):
    run = cli(*args)
    assert run.code == 2
    assert run.err.startswith("Usage: vpnctl")
    assert "Commands" in run.err
    assert "error:" not in run.err


def test_a_device_of_a_blocked_person_is_not_said_to_be_there(service, fleet):
    service("user", "add", "alice")
    service("user", "block", "alice")
    run = service("peer", "add", "alice")
    assert run.code == 0
    assert "checked: not on fi, because it may not connect (user blocked)" in run.err
    assert fleet["fi.example.org"].live_keys() == set()
    assert "may not connect" in service("peer", "resume", "alice").err
    service("user", "unblock", "alice")
    assert len(fleet["fi.example.org"].live_keys()) == 1
