"""A server that somebody else set up becomes ours as it is: keys, port, addresses, peers, hooks."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import _fp
from tests.fakenode import Live
from tests.fleet.test_aliens import ALIEN
from vpnctl.errors import InvalidInput
from vpnctl.protocols.wireguard import foreign

CASES = Path(__file__).parents[1] / "cases/foreign"
WG0 = "/etc/wireguard/wg0.conf"


def text(name):
    return (CASES / name).read_bytes().decode()


@pytest.fixture
def there(cli, fleet):
    """A function that puts such a server on node `fi`, which vpnctl can log in at, and returns it."""
    cli("init", "--yes")
    fi = fleet["fi.example.org"]
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp()).code == 0

    def put(config, *clients):
        server = foreign.parse(config)
        fi.files[WG0] = ("600", config.encode())
        fi.units["wg-quick@wg0.service"] = ("enabled", "active")
        nets = (
            {"10.8.0.0/24", "fd00:8::/64"} if "fd00:8" in config else {f"{server.addresses[0].rsplit('.', 1)[0]}.0/24"}
        )
        rows = {
            each.identity: [
                each.shared.reveal() if each.shared else "(none)",
                ",".join(each.allowed_ips) or "(none)",
                "0",
                "0",
                "0",
            ]
            for each in server.peers
        }
        fi.links["wg0"] = Live(server.identity, server.port, 1420, 7, True, set(server.addresses), nets, rows)
        return fi

    return put


def test_names_hooks_and_odd_writing_are_read_as_the_tools_read_them():
    server = foreign.parse(text("plain.conf"))
    assert (server.port, server.addresses) == (51820, ("10.8.0.1/24", "fd00:8::1/64"))
    assert [line.split(" = ")[0] for line in server.hooks] == ["PostUp", "PostDown"]
    assert [each.name for each in server.peers] == ["Alice's phone", "", "the office", "took bob's address"]
    assert [each.allowed_ips for each in server.peers][1:] == [(), ("10.8.0.4/32", "192.168.7.0/24"), ("10.8.0.3/32",)]


def test_pivpns_names_stand_in_its_blocks():
    assert [each.name for each in foreign.parse(text("pivpn.conf")).peers] == ["alice", "bob.smith"]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("", "0 [Interface]"),
        ("[Interface]\nSaveConfig = true\nPrivateKey = x\n", "SaveConfig"),
        ("[Interface]\nPrivateKey = x\nListenPort = 1\n", "no key of WireGuard"),
        ("[Interface]\nfoo\n", "line 2"),
        ("[Wireguard]\n", "line 1"),
        ("PrivateKey = x\n", "line 1"),
        ("[Interface]\nPostUp = a\x07b\n", "control characters"),
    ],
)
def test_what_cannot_be_taken_over_is_named_with_its_line_and_without_a_key(config, why):
    with pytest.raises(InvalidInput) as found:
        foreign.parse(config)
    assert why in found.value.what


def test_everybody_keeps_key_address_and_counters(there, cli):
    fi = there(text("plain.conf"))
    before = {key: list(row) for key, row in fi.links["wg0"].peers.items()}
    index = fi.links["wg0"].index
    done = cli("node", "adopt", "fi")
    assert done.code == 0, done.err
    live = fi.links["wg0"]
    assert {key: live.peers[key] for key in before} == before
    assert (live.index, live.port) == (index, 51820), "the interface was not restarted"
    assert {row["user"] for row in cli("peer", "list", "--json").json} == {"alice-s-phone", "took-bob-s-address"}
    assert "192.168.7.0/24" in fi.files[WG0][1].decode()


def test_hooks_are_kept_in_the_file_and_shown(there, cli):
    fi = there(text("plain.conf"))
    said = cli("node", "adopt", "fi").err
    assert "kept: PostUp = iptables" in said
    assert "PostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat" in fi.files[WG0][1].decode()
    assert cli("endpoint", "set", "fi", "wg0", "--option", "hooks=PostUp = reboot").code == 2
    assert "hooks" not in cli("inventory", "export").out


def test_the_second_run_changes_nothing_and_takes_what_was_added_since(there, cli):
    fi = there(text("plain.conf"))
    cli("node", "adopt", "fi")
    writes = fi.writes
    again = cli("node", "adopt", "fi", "--json")
    assert (again.code, json.loads(again.out)["changed"]) == (0, False)
    assert fi.writes == writes
    fi.links["wg0"].peers[ALIEN] = ["(none)", "10.8.0.9/32", "0", "0", "0"]
    cli("node", "sync", "fi")
    assert len(json.loads(cli("node", "adopt", "fi", "--json").out)["peers"]) == 1
    assert ALIEN in {row["public_key"] for row in cli("peer", "list", "--json").json}


def test_strangers_are_named_with_the_reason_and_stay(there, cli):
    there(text("plain.conf"))
    found = json.loads(cli("node", "adopt", "fi", "--json").out)
    assert sorted(each["why"] for each in found["strangers"]) == [
        "another peer has its address",
        "it has other networks than one address of its own",
    ]
    assert cli("node", "sync", "fi").code == 0


def test_a_dry_run_tells_whom_and_changes_nothing(there, cli):
    fi = there(text("pivpn.conf"))
    writes = fi.writes
    told = cli("node", "adopt", "fi", "--dry-run")
    assert "would be adopted: alice/main, bob-smith/main" in told.err
    assert fi.writes == writes
    assert cli("peer", "list", "--json").json == []


def test_whose_key_is_unknown_works_on_is_suspended_and_gets_a_new_one(there, cli):
    fi = there(text("pivpn.conf"))
    cli("node", "adopt", "fi")
    assert "vpnctl peer regen" in cli("peer", "config", "alice").err
    assert cli("peer", "suspend", "alice").code == 0
    assert len(fi.live_keys()) == 1
    cli("peer", "resume", "alice")
    assert "PrivateKey" in cli("peer", "regen", "alice").out


def test_with_plans_in_use_nobody_is_cut_by_it(there, cli, tmp_path):
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n  - {name: month, days: 30}\n")
    cli("--yes", "inventory", "apply", str(plans))
    fi = there(text("pivpn.conf"))
    assert cli("node", "adopt", "fi").code == 0
    assert len(fi.live_keys()) == 2


@pytest.mark.parametrize("version", ["14", "15"])
def test_wg_easys_data_brings_names_and_keys_and_who_was_switched_off_stays_so(there, cli, fleet, tmp_path, version):
    source = CASES / "wg-easy-14.json"
    if version == "15":
        source = tmp_path / "wg-easy.db"
        with sqlite3.connect(source) as connection:
            connection.executescript((CASES / "wg-easy-15.sql").read_text())
    done = cli("node", "adopt", "fi", "--from", str(source))
    assert done.code == 0, done.err
    rows = cli("peer", "list", "--json").json
    assert sorted(row["state"] for row in rows) == ["active", "suspended"]
    assert "PrivateKey" in cli("peer", "config", rows[0]["user"]).out
    assert len(fleet["fi.example.org"].live_keys()) == 1
    assert json.loads(cli("endpoint", "list", "fi", "--json").out)[0]["port"] == 51820


def test_a_server_that_its_unit_does_not_hold_up_is_refused_with_the_cure(there, cli):
    there(text("pivpn.conf")).units.clear()
    done = cli("node", "adopt", "fi")
    assert done.code != 0
    assert "systemctl enable --now wg-quick@wg0" in done.err


@pytest.mark.parametrize(
    "address", ["10.8.0.1/24, 10.9.0.1/24", "fd00:8::1/64", "10.8.0.1/24, fd00:8::9/64", "nonsense"]
)
def test_addresses_that_cannot_be_kept_are_refused(there, cli, address):
    config = text("pivpn.conf").replace("10.201.48.1/24", address)
    fi = there(text("pivpn.conf"))
    fi.files[WG0] = ("600", config.encode())
    assert cli("node", "adopt", "fi").code == 2
    assert cli("endpoint", "list", "fi", "--json").json == []


def test_a_server_keeps_an_address_of_its_own_that_is_not_the_first(there, cli):
    fi = there(text("pivpn.conf").replace("10.201.48.1/24", "10.201.48.99/24"))
    assert cli("node", "adopt", "fi").code == 0
    assert "Address = 10.201.48.99/24\n" in fi.files[WG0][1].decode()
    assert cli("node", "check", "fi").code == 0


def test_nobody_gets_the_servers_own_address(there, cli):
    there(text("pivpn.conf").replace("10.201.48.1/24", "10.201.48.4/24"))
    assert cli("node", "adopt", "fi").code == 0
    cli("user", "add", "carol", "dave")
    given = [cli("peer", "add", f"{name}/phone", "--node", "fi", "--json").json for name in ("carol", "dave")]
    assert "10.201.48.4" not in json.dumps(given)


def test_nobody_gets_the_servers_own_address_by_being_adopted(there, cli):
    there(text("pivpn.conf").replace("10.201.48.1/24", "10.201.48.2/24"))
    done = cli("node", "adopt", "fi")
    assert "stays a stranger: its address is the server's own" in done.err


def test_no_key_of_the_server_is_said(there, cli):
    there(text("plain.conf"))
    secret = foreign.parse(text("plain.conf")).secret.reveal()
    for words in (("node", "adopt", "fi"), ("node", "adopt", "fi", "--json"), ("event", "list", "--json")):
        done = cli(*words)
        assert secret not in done.out + done.err


def test_somebody_of_that_name_who_was_here_before_is_somebody_else(there, cli):
    there(text("pivpn.conf"))
    cli("user", "add", "alice")
    cli("user", "block", "alice")
    done = cli("node", "adopt", "fi", "--json")
    assert {each["device"] for each in json.loads(done.out)["peers"]} == {"alice2/main", "bob-smith/main"}
    assert {row["state"] for row in cli("peer", "list", "--json").json} == {"active"}
