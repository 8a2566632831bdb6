"""What a new device speaks when nobody says: what its plan says where that is served, else its node, else the first."""

from __future__ import annotations

import pytest

from tests.conftest import _fp


@pytest.fixture
def shop(cli, fleet, tmp_path):
    """`fi` serves WireGuard and AmneziaWG, `de` WireGuard alone; `sell` gives alice a plan of these terms."""
    assert cli("init", "--yes").code == 0
    for name in ("fi", "de"):
        assert cli("node", "add", name, f"root@{name}.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    assert cli("endpoint", "add", "fi", "amneziawg").code == 0
    cli("user", "add", "alice")

    def sell(protocol):
        path = tmp_path / "plans.yaml"
        path.write_text(f"plans:\n- name: hidden\n  days: 90\n  protocol: {protocol}\n")
        said = cli("inventory", "apply", str(path), "--yes")
        if said.code == 0:
            assert cli("subscription", "grant", "alice", "--plan", "hidden").code == 0
        return said

    return sell


def given(cli, *how):
    assert cli("peer", "add", "alice/phone", *how).code == 0
    return cli("peer", "show", "alice/phone", "--json").json["protocol"]


def test_without_a_word_it_is_the_first_that_is_served(shop, cli):
    assert given(cli, "--node", "fi") == "wireguard"


def test_a_node_may_say(shop, cli):
    assert cli("node", "set", "fi", "--protocol", "amneziawg", "--json").json["nodes"][0]["protocol"] == "amneziawg"
    assert given(cli, "--node", "fi") == "amneziawg"


def test_a_node_may_stop_saying(shop, cli):
    cli("node", "set", "fi", "--protocol", "amneziawg")
    assert cli("node", "set", "fi", "--protocol", "none", "--json").json["nodes"][0]["protocol"] is None
    assert given(cli, "--node", "fi") == "wireguard"


def test_a_node_that_does_not_serve_what_it_says_gives_the_first(shop, cli):
    cli("node", "set", "de", "--protocol", "amneziawg")
    assert given(cli, "--node", "de") == "wireguard"


def test_a_plan_comes_before_the_node_and_a_word_before_both(shop, cli):
    assert shop("amneziawg").code == 0
    cli("node", "set", "fi", "--protocol", "wireguard")
    assert given(cli) == "amneziawg", "and it goes where that is served"
    cli("peer", "add", "alice/laptop", "--node", "fi", "--protocol", "wireguard")
    assert cli("peer", "show", "alice/laptop", "--json").json["protocol"] == "wireguard"


def test_where_a_plans_protocol_is_not_served_the_node_says(shop, cli):
    assert shop("amneziawg").code == 0
    assert given(cli, "--node", "de") == "wireguard"


def test_an_endpoint_that_is_named_is_the_protocol(shop, cli):
    assert shop("amneziawg").code == 0
    assert given(cli, "--node", "fi", "--endpoint", "wg0") == "wireguard"


def test_a_running_subscription_keeps_what_was_bought(shop, cli):
    assert shop("amneziawg").code == 0
    assert shop("wireguard").code == 0
    assert given(cli, "--node", "fi") == "amneziawg"


def test_a_protocol_that_there_is_not_is_refused_with_the_known_ones(shop, cli):
    said = shop("carrier-pigeon")
    assert said.code == 2
    assert "one of: wireguard" in said.err
    assert cli("node", "set", "fi", "--protocol", "carrier-pigeon").code == 2


def test_an_inventory_says_both_and_is_the_same_after_a_round(shop, cli, tmp_path):
    shop("amneziawg")
    cli("node", "set", "fi", "--protocol", "amneziawg")
    text = cli("inventory", "export").out
    assert text.count("protocol: amneziawg") == 3, "the endpoint, the node, the plan"
    path = tmp_path / "all.yaml"
    path.write_text(text)
    said = cli("inventory", "apply", str(path), "--dry-run")
    assert (said.out, said.code) == ("", 0)
