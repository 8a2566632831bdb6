"""Bugs that an attacker's session found, each as a test with the name of what must hold."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import _fp
from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.rules.changes import SYSTEM
from vpnctl.store.rows import Endpoint

ALL = Wish(scope=SYSTEM, always=True)
ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def real(tmp_path, script):
    """Run the real program in a shell with a state of its own."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "VPNCTL_STATE_DIR": str(tmp_path / "state"),
        "VPNCTL_KEY_FILE": str(tmp_path / "vault.key"), "V": f"{sys.executable} -m vpnctl",
    }  # fmt: skip
    return subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)


def test_an_endpoint_removed_while_the_clock_was_back_is_removed_all_the_same(service, fi, clock):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    clock.jump(minutes=-10)
    assert service("endpoint", "remove", "fi", "wg0", "--revoke-peers", "--yes").code == 0
    assert "wg0" not in fi.links
    assert "/etc/wireguard/wg0.conf" not in fi.files


def test_an_endpoint_removed_while_another_settle_was_at_work_stays_pending_until_it_is_gone(app, serve):
    node = serve()
    node.fake.before_apply = lambda: endpoints.remove(app, "fi", "wg0", revoke=True) and None
    with app.store.write() as tx:
        tx.update(Endpoint, port=51821, changed_at=app.clock(), proven_at=None)
    settle(app, [node.id], ALL)
    node.fake.before_apply = lambda: None
    with app.store.read() as tx:
        assert tx.one(Endpoint).proven_at is None, "what was proven is the endpoint as it was before"
    assert settle(app, [node.id], ALL)[0].code == 0
    assert "wg0" not in node.fake.links
    with app.store.read() as tx:
        assert tx.one(Endpoint).proven_at is not None


@pytest.mark.parametrize("verb", [("user", "block", "alice"), ("user", "remove", "alice", "--yes")])
def test_a_cut_that_is_still_pending_from_before_is_not_called_done(service, fi, verb):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fi.down = True
    assert service("peer", "revoke", "alice").code == 3
    run = service(*verb)
    assert run.code == 3
    assert "checked" not in run.err


@pytest.mark.parametrize("ips", ["999.1.1.1/32", "10.0.0.1/99", ":::::/64", "..../3", "x"])
def test_addresses_that_are_none_stop_that_node_only_and_are_not_stored(service, fleet, fi, ips):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    fi.links["wg0"].peers[ALIEN] = ["(none)", ips, "0", "0", "0"]
    run = service("node", "sync")
    assert run.code == 3
    assert "makes no sense" in run.err
    del fi.links["wg0"].peers[ALIEN]
    assert service("node", "sync").code == 0
    assert service("jobs", "run", "sync").code == 0


def test_a_bug_at_one_node_does_not_keep_the_others_from_being_settled(service, fleet, monkeypatch):
    from vpnctl.actions.fleet import settle as module

    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    real_look = module.look

    def broken(app, view, *args):
        if view.node.name == "fi":
            raise ZeroDivisionError("with a secret in it")
        return real_look(app, view, *args)

    monkeypatch.setattr(module, "look", broken)
    run = service("node", "sync")
    assert run.code == 1
    assert "fi: a bug in vpnctl: ZeroDivisionError at test_regressions.py" in run.err
    assert "secret" not in run.err


def test_a_recovery_key_is_not_renewed_with_a_key_file_that_opens_nothing(service, settings):
    import base64

    settings.key_file.write_text(f"kabcdef {base64.b64encode(os.urandom(32)).decode()}\n")
    assert service("vault", "renew-recovery", "--show", "--yes").code == 9
    assert service("init", "--yes").code == 9


def test_a_damaged_key_file_says_how_to_recover(service, settings):
    settings.key_file.write_text("nonsense\n")
    assert ".damaged && vpnctl vault recover" in service("user", "add", "x").err + service("peer", "add", "x").err


def test_a_closed_stderr_does_not_silence_stdout(tmp_path):
    done = real(tmp_path, "$V init --yes 2>&-")
    assert (done.returncode, done.stdout.startswith("vpnctl-recovery-")) == (0, True)
    done = real(tmp_path, "$V vault renew-recovery --show --yes 2>&-")
    assert (done.returncode, done.stdout.startswith("vpnctl-recovery-")) == (0, True)


@pytest.mark.parametrize("away", [">/dev/full", ">&-", ">/dev/null"])
def test_a_recovery_key_that_nobody_could_see_is_said_to_be_lost(tmp_path, away):
    done = real(tmp_path, f"$V init --yes {away}")
    assert done.returncode == 9
    assert "vpnctl vault renew-recovery --show" in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    done = real(tmp_path, "$V init --yes | cat; $V node key | true; echo ${PIPESTATUS[0]}")
    assert done.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize("args", ["vault confirm", "user add --from -", "inventory apply -"])
def test_a_closed_stdin_is_like_an_empty_one(tmp_path, args):
    done = real(tmp_path, f"$V init --yes | cat; $V {args} <&-")
    assert "bug" not in done.stderr
    assert done.returncode in (0, 2)


def test_arguments_that_are_no_text_are_refused(tmp_path):
    done = real(tmp_path, "$V init --yes | cat; $V user list --search $'\\xff'")
    assert done.returncode == 2
    done = real(tmp_path, "$V user add x; SUDO_USER=$'\\xff' $V user add y")
    assert done.returncode == 0


def test_a_terminal_without_the_letters_shows_escapes(tmp_path):
    done = real(tmp_path, "$V init --yes | cat; $V user add x --display-name علی; PYTHONIOENCODING=ascii $V user list")
    assert (done.returncode, "\\u0639" in done.stdout) == (0, True)


def test_files_in_the_way_are_found_before_anything_is_changed(service, tmp_path, fi):
    service("user", "add", "alice")
    assert service("peer", "add", "alice", "--out", str(tmp_path)).code == 0
    live = fi.live_keys()
    run = service("peer", "regen", "alice", "--out", str(tmp_path))
    assert (run.code, fi.live_keys()) == (2, live)
    link = tmp_path / "dangling"
    link.symlink_to(tmp_path / "nowhere")
    assert service("peer", "regen", "alice", "--out", str(link)).code == 2
    assert service("peer", "regen", "alice", "--out", "/tmp/x1", "--png", "/tmp/x1").code == 2
    run = service("peer", "add", "alice/a", "alice/b", "--png", str(tmp_path / "x.png"))
    assert (run.code, fi.live_keys()) == (2, live)
    (tmp_path / "file").write_text("")
    assert service("user", "migrate", "alice", "--to", "fi", "--out", str(tmp_path / "file")).code == 2


def test_a_config_that_is_too_large_for_a_qr_code_says_so(service):
    many = ",".join(f"10.{number}.{part}.0/24" for number in range(16) for part in range(16))
    service("endpoint", "set", "fi", "wg0", "--allowed-ips", many)
    service("user", "add", "alice")
    service("peer", "add", "alice")
    run = service("peer", "config", "alice", "--qr")
    assert run.code == 2
    assert "--out FILE" in run.err


def test_an_inventory_leaves_alone_what_it_does_not_say(service, tmp_path, fi):
    service("user", "add", "eve", "--note", "vip", "--display-name", "Eve")
    service("user", "block", "eve")
    path = tmp_path / "i.yaml"
    path.write_text("users:\n  - {name: eve, devices: 3}\n")
    assert service("inventory", "apply", str(path), "--yes").code == 0
    row = service("user", "show", "eve", "--json").json
    assert (row["state"], row["note"], row["display_name"], row["device_limit"]) == ("blocked", "vip", "Eve", 3)


@pytest.mark.parametrize(
    "line", ["host: other.example.org", "host: root@fi.example.org, host_key: garbage", "local: true"]
)
def test_an_inventory_does_not_change_the_way_into_a_node(service, tmp_path, line):
    path = tmp_path / "i.yaml"
    path.write_text(f"nodes:\n  - {{name: fi, {line}}}\n")
    assert service("inventory", "apply", str(path), "--yes").code == 2


def test_a_missing_key_file_is_no_good_run(service, settings):
    settings.key_file.rename(settings.key_file.with_suffix(".away"))
    assert service("jobs", "run", "sync").code == 9
    assert service("node", "sync").code == 9


def test_showing_units_writes_nothing(service, tmp_path):
    config = tmp_path / "none.yaml"
    assert service("jobs", "install", "--cron").code == 0
    assert service("jobs", "install", "--print").code == 0
    assert not config.exists()


def test_written_settings_are_read_back_as_they_were(tmp_path):
    from vpnctl import settings

    env = {
        "HOME": str(tmp_path), "VPNCTL_TIMEZONE": "Europe/Berlin", "VPNCTL_EXTEND_ONCE": "yes",
        "VPNCTL_BOT_TOKEN": "123456:" + "A" * 35, "VPNCTL_ADMIN_IDS": "5,-100", "VPNCTL_TECH_CHAT_ID": "-77",
        "VPNCTL_CLIENT_SECRETS": "discard", "VPNCTL_PARALLEL": "7",
    }  # fmt: skip
    found = settings.load(None, env)
    path = tmp_path / "written.yaml"
    path.write_text(settings.written(found))
    assert settings.load(path, {"HOME": str(tmp_path)}) == found


def test_version_is_printed(tmp_path):
    done = real(tmp_path, "$V --version")
    assert (done.returncode, done.stdout.startswith("vpnctl ")) == (0, True)


def test_a_node_puts_no_text_of_its_own_into_a_command_that_people_type(service, fi):
    fi.files["/var/lib/vpnctl/token"] = ("600", b"evil; rm -rf /\n")
    run = service("node", "sync")
    assert "rm -rf" not in run.err.split("hint:")[-1]
    assert run.code == 7
    assert "was not written by any vpnctl" in run.err


def test_a_token_is_only_accepted_when_the_node_shows_it(service, fi):
    assert service("node", "trust", "fi", "--token", "deadbeef", "--yes").code == 5
    fi.files["/var/lib/vpnctl/token"] = ("600", b"deadbeef\n")
    assert service("node", "trust", "fi", "--token", "deadbeef", "--yes").code == 0
    assert service("node", "sync").code == 0


@pytest.mark.parametrize("pool", ["0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4", "8.8.0.0/16", "10.66.0.0/16"])
def test_a_pool_that_cannot_be_one_is_refused(service, pool):
    assert service("endpoint", "add", "fi", "wireguard", "--pool", pool).code in (2, 5)


def test_no_pool_left_is_said(service):
    service("endpoint", "remove", "fi", "wg0", "--yes")
    assert service("endpoint", "add", "fi", "wireguard", "--pool", "10.0.0.0/8", "--interface", "wga").code == 0
    run = service("endpoint", "add", "fi", "wireguard")
    assert (run.code, "no pool is left" in run.err) == (5, True)


@pytest.mark.parametrize(
    "args",
    [
        ("node", "provision", "fi", "--forward-rule", "noen"),
        ("node", "set", "fi", "--capacity", "1" + "0" * 30),
        ("node", "set", "fi", "--traffic-limit", "much"),
    ],
)
def test_a_wrong_value_is_refused(service, args):
    assert service(*args).code == 2


def test_a_number_with_thousands_of_digits_is_refused(service, tmp_path):
    path = tmp_path / "i.yaml"
    path.write_text(f"users:\n  - {{name: a, devices: {'9' * 5000}}}\n")
    assert service("inventory", "apply", str(path), "--yes").code == 2


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [("VPNCTL_DATABASE_URL", "postgresql+psycopg://a:PW@:bad:/x", 9), ("VPNCTL_STATE_DIR", "~nouser/x", 2)],
)
def test_an_address_of_the_state_that_is_none_is_said(service, monkeypatch, variable, value, code):
    monkeypatch.setenv(variable, value)
    run = service("user", "list")
    assert run.code == code
    assert "PW" not in run.err


@pytest.mark.parametrize(
    ("name", "value"), [("ssh_key", "v1.{id}.AAAA"), ("ssh_key", "v1.{id}.!"), ("recovery_copy", "!!!")]
)
def test_damaged_sealed_values_are_trouble_and_no_bug(app, settings, name, value):
    from vpnctl.actions.service import state
    from vpnctl.errors import StateTrouble

    key = state.new_recovery(app)
    with app.store.write() as tx:
        tx.set_meta(name, value.format(id=app.vault.current))
    app.store.close()
    with pytest.raises(StateTrouble):
        if name == "ssh_key":
            state.rotate(settings, "cli:test", lambda *_: None)
        else:
            settings.key_file.unlink()
            state.recover_vault(settings, key)


# What a new user's walk found


@pytest.fixture
def moving(service, fleet):
    """Bob on his way from fi to de: two live peers of one device."""
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "bob")
    service("peer", "add", "bob", "--node", "fi")
    service("user", "migrate", "bob", "--to", "de")
    fi, de = fleet["fi.example.org"], fleet["de.example.org"]
    assert (len(fi.live_keys()), len(de.live_keys())) == (1, 1)
    return fi, de


@pytest.mark.parametrize("verb", ["suspend", "revoke"])
def test_a_word_about_a_device_on_its_way_means_both_of_its_peers(service, moving, verb):
    assert service("peer", verb, "bob/main").code == 0
    assert [node.live_keys() for node in moving] == [set(), set()]
    if verb == "suspend":
        assert service("peer", "resume", "bob/main").code == 0
        assert [len(node.live_keys()) for node in moving] == [1, 1]


def test_a_node_picks_one_of_the_two(service, moving):
    assert service("peer", "suspend", "bob/main@fi").code == 0
    assert [len(node.live_keys()) for node in moving] == [0, 1]


def test_new_keys_end_the_leaked_file_on_the_old_node_too(service, moving):
    before = moving[1].live_keys()
    assert service("peer", "regen", "bob/main").code == 0
    assert moving[0].live_keys() == set()
    assert len(moving[1].live_keys()) == 1
    assert moving[1].live_keys() != before


def test_a_block_during_a_move_is_undone_by_unblock(service, moving):
    before = [node.live_keys() for node in moving]
    service("user", "block", "bob")
    assert [node.live_keys() for node in moving] == [set(), set()]
    service("user", "unblock", "bob")
    assert [node.live_keys() for node in moving] == before


def test_everybody_on_a_node_is_moved_with_one_command(service, fleet, tmp_path):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "ann", "bob", "cyd")
    service("peer", "add", "ann", "bob", "cyd/phone", "cyd/laptop", "--node", "fi")
    assert service("user", "migrate", "--all", "--from", "fi", "--to", "de").code == 6
    run = service("user", "migrate", "--all", "--from", "fi", "--to", "de", "--out", str(tmp_path / "files"), "--yes")
    assert run.code == 0
    assert len(list((tmp_path / "files").iterdir())) == 4
    assert service("node", "retire", "fi", "--destroyed", "--yes").code == 0, "everybody has a delivered successor"
    assert service("user", "migrate", "ann", "bob", "--to", "de").code == 0
    assert service("user", "migrate", "--all", "--to", "de").code == 2
    assert service("user", "migrate", "--to", "de").code == 2


def test_a_node_with_people_who_were_not_moved_is_not_retired_by_mistake(service, moving):
    service("user", "add", "carol")
    service("peer", "add", "carol", "--node", "fi")
    run = service("node", "retire", "fi", "--destroyed", "--yes")
    assert (run.code, "devices live on fi wg0: carol/main" in run.err) == (5, True)
    assert "--all --from fi" in run.err


def test_an_alarm_that_a_check_showed_is_not_forgotten_by_status(service, fi):
    fi.host_key = "ssh-ed25519 other"
    assert service("node", "check").code == 7
    assert "the host key of fi.example.org changed" in service("status").out


def test_a_missing_key_file_stands_on_the_status_page(service, settings):
    settings.key_file.rename(settings.key_file.with_suffix(".away"))
    assert "key file" in service("status").out


def test_a_fresh_service_says_what_is_next(cli):
    cli("init", "--yes")
    assert "vpnctl node add" in cli("status").out
