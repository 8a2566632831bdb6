"""A new key, port and parameters for an endpoint: everybody moves to a successor beside it, then the old one ends."""

from __future__ import annotations

import pytest

from tests.conftest import _fp
from tests.fleet.test_aliens import ALIEN
from vpnctl.errors import InvalidInput
from vpnctl.protocols import plugin


@pytest.fixture
def lived_in(service):
    """Two people have a phone on fi."""
    for name in ("alice", "bob"):
        service("user", "add", name)
        assert service("peer", "add", f"{name}/phone", "--node", "fi").code == 0
    return service


def rotate(run, *more, interface="wg0"):
    return run("--yes", "endpoint", "rotate", "fi", interface, *more)


def endpoints(run):
    return {each["interface"]: each for each in run("endpoint", "list", "fi", "--json").json}


def hear(fleet, run, clock, interface):
    """Everybody's new peer shakes hands."""
    clock.forward(seconds=30)
    for peer in fleet["fi.example.org"].people(interface):
        peer[2] = str(int(clock().timestamp()))
    run("jobs", "run", "sync")


def test_everybody_gets_a_file_with_a_new_key_and_port_and_the_old_ones_still_work(lived_in, fleet, tmp_path):
    before = lived_in("peer", "config", "alice/phone").out
    done = rotate(lived_in, "--out", str(tmp_path / "new"))
    assert done.code == 0, done.err
    files = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert len(files) == 2
    now = endpoints(lived_in)
    assert (now["wg0"]["successor"], now["wg1"]["successor"]) == ("wg1", None)
    assert now["wg0"]["public_key"] != now["wg1"]["public_key"]
    assert now["wg0"]["port"] != now["wg1"]["port"]
    for text in files.values():
        assert f"PublicKey = {now['wg1']['public_key']}" in text
        assert f":{now['wg1']['port']}" in text
    assert before not in files.values()
    assert len(fleet["fi.example.org"].live_keys("wg0")) == 2, "make before break"
    assert "wg0 is removed when every device has connected anew" in done.err


def test_the_old_one_is_removed_when_the_last_device_has_connected_anew(lived_in, fleet, clock, tmp_path):
    rotate(lived_in, "--out", str(tmp_path / "new"))
    lived_in("jobs", "run", "sync")
    assert set(endpoints(lived_in)) == {"wg0", "wg1"}
    hear(fleet, lived_in, clock, "wg1")
    lived_in("jobs", "run", "sync")
    assert set(endpoints(lived_in)) == {"wg1"}
    assert fleet["fi.example.org"].all_keys("wg0") == set()
    assert len(fleet["fi.example.org"].live_keys("wg1")) == 2


def test_what_was_chosen_of_it_stays_and_a_port_may_be_named(lived_in, tmp_path):
    lived_in("endpoint", "set", "fi", "wg0", "--dns", "9.9.9.9", "--mtu", "1300", "--yes")
    assert rotate(lived_in, "--port", "4500", "--out", str(tmp_path / "new")).code == 0
    new = endpoints(lived_in)["wg1"]
    assert (new["port"], new["dns"], new["mtu"]) == (4500, "9.9.9.9", 1300)
    assert new["pool_v4"] != endpoints(lived_in)["wg0"]["pool_v4"]


def test_new_devices_get_the_successor_at_once(lived_in, tmp_path):
    rotate(lived_in, "--out", str(tmp_path / "new"))
    lived_in("user", "add", "carol")
    text = lived_in("peer", "add", "carol/phone", "--node", "fi").out
    assert endpoints(lived_in)["wg1"]["public_key"] in text


def test_run_again_it_goes_on_with_the_same_successor(lived_in, tmp_path):
    rotate(lived_in, "--out", str(tmp_path / "new"))
    again = rotate(lived_in, "--out", str(tmp_path / "new"))
    assert again.code == 0, again.err
    assert "nobody is left to move from wg0" in again.err
    assert set(endpoints(lived_in)) == {"wg0", "wg1"}
    other = rotate(lived_in, "--port", "4501")
    assert other.code == 5
    assert "is followed by wg1" in other.err


def test_a_preview_makes_nothing_and_names_who_needs_a_file(lived_in, fleet):
    writes = fleet["fi.example.org"].writes
    told = rotate(lived_in, "--dry-run")
    assert told.code == 0
    assert "alice/phone, bob/phone" in told.err
    assert "wg1 on port" in told.err
    assert set(endpoints(lived_in)) == {"wg0"}
    assert fleet["fi.example.org"].writes == writes


def test_where_packets_do_not_pass_the_new_one_nobody_is_moved(lived_in, fleet, tmp_path):
    fleet["fi.example.org"].path = "out"
    stopped = rotate(lived_in, "--out", str(tmp_path / "new"))
    assert stopped.code == 3
    assert not (tmp_path / "new").exists()
    rows = lived_in("peer", "list", "--json").json
    assert len(rows) == 2
    fleet["fi.example.org"].path = "ok"
    lived_in("node", "check", "fi")
    assert rotate(lived_in, "--out", str(tmp_path / "new")).code == 0
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_it_is_given_up_by_removing_the_successor(lived_in, tmp_path):
    before = lived_in("peer", "config", "alice/phone").out
    rotate(lived_in, "--out", str(tmp_path / "new"))
    gone = lived_in("--yes", "endpoint", "remove", "fi", "wg1", "--revoke-peers")
    assert gone.code == 0, gone.err
    assert lived_in("peer", "config", "alice/phone").out == before
    assert endpoints(lived_in)["wg0"]["successor"] is None


def test_an_empty_endpoint_is_replaced_at_once(service, fleet):
    done = rotate(service)
    assert done.code == 0, done.err
    assert set(endpoints(service)) == {"wg1"}
    assert "it is removed" in done.err


def test_whoever_is_moved_to_such_a_node_gets_the_successor(lived_in, tmp_path):
    assert lived_in("node", "add", "a", "root@a.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    lived_in("user", "add", "carol")
    lived_in("peer", "add", "carol/phone", "--node", "a")
    rotate(lived_in, "--out", str(tmp_path / "new"))
    moved = lived_in("user", "migrate", "carol", "--to", "fi")
    assert moved.code == 0, moved.err
    assert endpoints(lived_in)["wg1"]["public_key"] in moved.out


def test_a_stranger_keeps_the_old_endpoint_until_it_is_pruned(lived_in, fleet, clock, tmp_path):
    fi = fleet["fi.example.org"]
    fi.links["wg0"].peers[ALIEN] = ["(none)", "10.8.0.77/32", "0", "0", "0"]
    lived_in("node", "sync", "fi")
    told = rotate(lived_in, "--out", str(tmp_path / "new"))
    assert "wg0 stays for 1 alien peer" in told.err
    hear(fleet, lived_in, clock, "wg1")
    lived_in("jobs", "run", "sync")
    assert ALIEN in fi.live_keys("wg0"), "nobody asked for it to be cut"
    assert lived_in("--yes", "node", "sync", "fi", "--prune-aliens").code == 0
    lived_in("jobs", "run", "sync")
    assert set(endpoints(lived_in)) == {"wg1"}


def test_a_command_ends_its_own_rotation_only_and_says_so(lived_in, fleet, clock, tmp_path):
    rotate(lived_in, "--out", str(tmp_path / "new"))
    hear(fleet, lived_in, clock, "wg1")
    lived_in("endpoint", "add", "fi", "wireguard", "--interface", "wg5")
    lived_in("user", "add", "dora")
    lived_in("peer", "add", "dora/phone", "--node", "fi", "--endpoint", "wg5")
    told = rotate(lived_in, "--out", str(tmp_path / "more"), interface="wg5")
    assert "is removed:" not in told.err
    assert "it is removed" not in told.err
    assert "wg5 is removed when every device has connected anew" in told.err


def test_an_empty_one_is_told_as_one_object_and_the_next_run_knows_it(service):
    first = rotate(service, "--json").json
    assert (first["changed"], first["interface"], first["port"], first["moves"]) == (True, "wg1", 51821, [])
    again = rotate(service, "--json")
    assert (again.code, again.json["changed"], again.json["interface"]) == (0, False, "wg1")
    assert rotate(service, interface="wg9").code == 5


def test_what_cannot_be_done_is_said_before_anything_is_made(lived_in):
    lived_in("node", "drain", "fi")
    refused = rotate(lived_in)
    assert refused.code == 5
    assert "vpnctl node drain fi --off" in refused.err
    assert set(endpoints(lived_in)) == {"wg0"}


@pytest.mark.parametrize(
    ("protocol", "drawn", "chosen"),
    [
        ("wireguard", {"pool_v4", "pool_v6"}, {"mtu": 1300, "dns": "9.9.9.9"}),
        ("amneziawg", {"pool_v4", "h1", "h2", "s1"}, {"generation": "2.0", "mtu": 1290}),
        ("xray", {"short_id"}, {"inbound": "reality", "target": "example.com:443"}),
        ("xray", {"path", "short_id"}, {"inbound": "xhttp", "target": "example.com:443"}),
    ],
)
def test_what_is_drawn_is_drawn_anew_and_what_was_chosen_stays(protocol, drawn, chosen):
    kind = plugin(protocol)
    old = kind.complete(kind.checked(chosen), [], [])
    new = kind.complete(kind.renewed(old), [old], [])
    assert {name for name in old if old[name] != new[name]} >= drawn
    assert {name: new[name] for name in chosen} == {name: old[name] for name in chosen}


def test_an_inbound_of_a_panel_is_renewed_in_the_panel():
    with pytest.raises(InvalidInput, match="what its panel makes of it"):
        plugin("3x-ui").renewed({"inbound": 3})
