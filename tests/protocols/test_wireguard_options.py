"""What can be set on a WireGuard endpoint, what is picked, and what suits a server."""

from __future__ import annotations

import ipaddress

import pytest

from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols.interface import BadOption, Server
from vpnctl.protocols.wireguard.plugin import PLUGIN
from vpnctl.rules.path import Ways

NET = ipaddress.ip_network


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mtu": 100}, "out of range"),
        ({"keepalive": 70000}, "out of range"),
        ({"pool_v4": "8.8.8.0/24"}, "no private network"),
        ({"pool_v4": "10.0.0.0/31"}, "not a pool"),
        ({"pool_v4": "fd00::/64"}, "not a pool for IPv4"),
        ({"dns": "nowhere"}, "address"),
        ({"mtu": "1400"}, "expected a valid integer"),
        ({"greeting": "x"}, "unknown key"),
    ],
)
def test_what_is_no_option_or_has_no_such_value_is_refused(given, says):
    with pytest.raises(InvalidInput, match=says):
        PLUGIN.checked(given)


def test_a_new_endpoint_gets_pools_beside_those_that_are_there():
    first = PLUGIN.complete({}, (), ())
    assert (first["pool_v4"], first["mtu"]) == ("10.66.0.0/16", 1420)
    assert first["pool_v6"].startswith("fd")
    second = PLUGIN.complete({}, [first], [NET("10.67.0.0/16"), NET("0.0.0.0/0")])
    assert second["pool_v4"] == "10.68.0.0/16"
    assert PLUGIN.complete(PLUGIN.checked({"pool_v6": "none"}), [first], ())["pool_v6"] is None


def test_pools_that_overlap_and_too_many_of_them_are_refused():
    first = PLUGIN.complete({}, (), ())
    with pytest.raises(Conflict, match="overlaps"):
        PLUGIN.complete({"pool_v4": "10.66.5.0/24"}, [first], ())
    with pytest.raises(Conflict, match="no pool is left"):
        PLUGIN.complete({}, (), [NET(f"10.{number}.0.0/16") for number in range(66, 250)])


@pytest.mark.parametrize(
    ("server", "options"),
    [
        (Server(Ways({4: 1500, 6: 1500}), True), {}),
        (Server(Ways({4: 1450}), True), {"mtu": 1370}),
        (Server(Ways({4: 1300}), True), {"mtu": 1280}),
        (Server(Ways({4: 1500}), False), {"pool_v6": "none"}),
        (Server(Ways({6: 1500}), True), {"allowed_ips": "::/0", "dns": "2606:4700:4700::1111, 2001:4860:4860::8888"}),
        (Server(Ways(), True), {}),
    ],
)
def test_options_suit_the_server(server, options):
    suited = PLUGIN.suited(server)
    assert suited.options == options
    assert len(suited.notes) == (1 if options else 0)


def test_an_entry_of_an_inventory_goes_in_and_out():
    entry = {"pool": "10.9.0.0/16", "mtu": 1400, "isolation": False}
    options = PLUGIN.from_entry(entry)
    assert options["pool_v6"] is None
    assert entry.items() <= PLUGIN.to_entry(options).items()
    for wrong in ({}, {"pool": "10.9.0.0/16", "pool_v4": "10.9.0.0/16"}, {"pool": 5}):
        with pytest.raises(BadOption):
            PLUGIN.from_entry(wrong)
