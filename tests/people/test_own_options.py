"""A device may have options of its own: its config says them, the node does not hear of them, and they go with it."""

from __future__ import annotations

import json

import pytest

OWN = ("--option", "jc=9", "--option", "i1=<b 0x0102>", "--option", "mtu=1280")


@pytest.fixture
def phone(service):
    """Alice's phone on AmneziaWG."""
    assert service("endpoint", "add", "fi", "amneziawg").code == 0
    service("user", "add", "alice")
    added = service("peer", "add", "alice/phone", "--protocol", "amneziawg", *OWN)
    assert added.code == 0, added.err
    return added.out


def lines(config):
    """The settings of a config by name."""
    return dict(line.split(" = ", 1) for line in config.splitlines() if " = " in line)


def test_a_new_device_has_them_in_its_config(phone):
    said = lines(phone)
    assert (said["Jc"], said["I1"], said["MTU"]) == ("9", "<b 0x0102>", "1280")


def test_the_node_and_other_devices_know_nothing_of_them(phone, service, fleet):
    file = fleet["fi.example.org"].files["/etc/amnezia/amneziawg/awg0.conf"][1].decode()
    assert "Jc = 9" not in file
    other = lines(service("peer", "add", "alice/laptop", "--protocol", "amneziawg").out)
    assert (other["Jc"] != "9", other["MTU"]) == (True, "1376")
    assert service("node", "check", "fi").code == 0


def test_they_are_changed_and_taken_back_and_the_next_config_says_so(phone, service):
    shown = service("peer", "set", "alice/phone", "--option", "jc=7", "--unset", "i1", "--json").json
    assert shown["peers"][0]["options"] == {"jc": 7, "mtu": 1280}
    said = lines(service("peer", "config", "alice/phone").out)
    assert (said["Jc"], said["MTU"]) == ("7", "1280")
    assert said["I1"] != "<b 0x0102>"
    told = service("peer", "set", "alice/phone", "--unset", "jc", "--unset", "mtu").err
    assert "vpnctl peer config alice/phone" in told
    assert service("peer", "show", "alice/phone", "--json").json["options"] == {}


def test_they_go_with_the_device_through_new_keys_and_a_move(phone, service):
    from tests.conftest import _fp

    assert lines(service("peer", "regen", "alice/phone").out)["Jc"] == "9"
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("endpoint", "add", "de", "amneziawg")
    assert lines(service("user", "migrate", "alice", "--to", "de").out)["I1"] == "<b 0x0102>"
    new = {row["node"]: row["options"] for row in service("peer", "list", "--json").json}
    assert new["de"] == {"jc": 9, "i1": "<b 0x0102>", "mtu": 1280}


def test_what_does_not_fit_elsewhere_stays_behind(phone, service):
    service("endpoint", "add", "fi", "amneziawg", "--option", "generation=1.0")
    moved = service("user", "migrate", "alice", "--to", "fi", "--endpoint", "awg1")
    assert "I1" not in lines(moved.out)
    assert "alice/phone keeps no i1, jc, mtu of its own there" in moved.err
    assert lines(service("user", "migrate", "alice", "--to", "fi", "--protocol", "wireguard").out)["MTU"] == "1420"


def test_one_option_is_not_set_and_taken_back_at_once(phone, service):
    said = service("peer", "set", "alice/phone", "--option", "jc=7", "--unset", "jc")
    assert (said.code, "jc cannot be set and taken back" in said.err) == (2, True)
    assert lines(service("peer", "config", "alice/phone").out)["Jc"] == "9"


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("s1=20", "a device has its own"),
        ("generation=1.0", "a device has its own"),
        ("jmin=60", "more than jmin"),
        ("jc=many", "expected a valid integer"),
        ("mtu=99999", "mtu"),
        ("i1=<x 1>", "tags"),
        ("jc", "NAME=VALUE"),
    ],
)
def test_what_only_the_endpoint_has_or_does_not_fit_is_refused(phone, service, option, why):
    said = service("peer", "set", "alice/phone", "--option", option)
    assert said.code == 2
    assert why in said.err
    assert service("peer", "show", "alice/phone", "--json").json["options"]["jc"] == 9


def test_an_endpoint_is_not_changed_to_what_a_device_does_not_fit(phone, service):
    service("peer", "set", "alice/phone", "--option", "jmin=40")
    said = service("endpoint", "set", "fi", "awg0", "--option", "jmax=30", "--option", "jmin=5")
    assert said.code == 5
    assert "what alice/phone has of its own (i1, jc, jmin, mtu)" in said.err
    assert "vpnctl peer set alice/phone --unset" in said.err


def test_a_link_for_an_app_has_them_too(phone, service):
    said = service("user", "link", "alice", "--format", "mihomo").out
    proxies = json.loads(json.dumps(said))
    assert "jc: 9" in proxies


def test_a_device_that_is_being_replaced_keeps_nobody_from_changing_the_endpoint(phone, service):
    service("peer", "set", "alice/phone", "--option", "jmin=40")
    service("peer", "regen", "alice/phone", "--overlap")
    service("peer", "set", "alice/phone", "--unset", "jmin")
    assert service("endpoint", "set", "fi", "awg0", "--option", "jmax=30", "--option", "jmin=5").code == 0


def test_what_it_has_not_of_its_own_cannot_be_taken_back(phone, service):
    said = service("peer", "set", "alice/phone", "--unset", "jmni")
    assert (said.code, "none of its own" in said.err) == (2, True)


@pytest.mark.parametrize("name", ["v2ray", "3x-ui"])
def test_protocols_without_options_of_clients_have_none(name):
    from vpnctl.protocols import plugin
    from vpnctl.protocols.interface import BadOption
    from vpnctl.protocols.own import own

    with pytest.raises(BadOption, match="has none"):
        own(plugin(name), {}, {"fingerprint": "ios"})


def test_nothing_to_change_is_a_mistake(phone, service):
    assert service("peer", "set", "alice/phone").code == 2
