"""Limits of other periods and of nodes, from the plan's YAML to the node and back."""

from __future__ import annotations

import pytest

from tests.conftest import _fp

MIB = 2**20


@pytest.fixture
def shop(cli, fleet, tmp_path):
    """Two nodes, alice on `fi`; `sell(**terms)` gives her a plan of these terms."""
    assert cli("init", "--yes").code == 0
    for name in ("fi", "de"):
        assert cli("node", "add", name, f"root@{name}.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    cli("user", "add", "alice")

    def sell(**terms):
        lines = "".join(f"  {name}: {value}\n" for name, value in terms.items())
        path = tmp_path / "plans.yaml"
        path.write_text(f"plans:\n- name: limited\n  days: 90\n{lines}")
        said = cli("inventory", "apply", str(path), "--yes")
        assert said.code == 0, said.err
        assert cli("subscription", "grant", "alice", "--plan", "limited").code == 0
        assert cli("peer", "add", "alice/phone", "--node", "fi").code == 0

    return sell


@pytest.fixture
def passes(cli, fleet, clock):
    """Let so many bytes pass on a node for its only device, and read them."""

    def work(name, amount):
        clock.forward(minutes=5)
        row = fleet[f"{name}.example.org"].people()[0]
        row[3] = str(int(row[3]) + amount)
        cli("jobs", "run", "usage", "expire", "sync")

    return work


def state(cli, device="phone"):
    row = next(each for each in cli("peer", "list", "--json").json if each["device"] == device)
    return row["state"], row["reason"]


def test_a_daily_limit_cuts_and_midnight_lets_in_again(shop, cli, passes, clock, fleet):
    shop(traffic="1 MiB", traffic_period="day")
    passes("fi", 2 * MIB)
    assert state(cli) == ("over quota", "traffic of this period used up")
    assert fleet["fi.example.org"].live_keys() == set()
    assert [row["verb"] for row in cli("event", "list", "--verb", "quota.reached", "--json").json] == ["quota.reached"]
    clock.forward(hours=13)
    cli("jobs", "run", "usage", "expire", "sync")
    assert state(cli) == ("active", None)
    assert len(cli("event", "list", "--verb", "quota.reached", "--json").json) == 1


def test_a_weekly_limit_begins_anew_on_monday(shop, cli, passes, clock):
    shop(traffic="1 MiB", traffic_period="week")
    passes("fi", 2 * MIB)  # a Friday
    clock.forward(days=2)
    cli("jobs", "run", "expire", "sync")
    assert state(cli)[0] == "over quota"
    clock.forward(days=1)
    cli("jobs", "run", "expire", "sync")
    assert state(cli)[0] == "active"


def test_a_rolling_limit_forgets_what_is_thirty_days_old(shop, cli, passes, clock):
    shop(traffic="1 MiB", traffic_period="rolling")
    passes("fi", 2 * MIB)
    clock.forward(days=29)
    cli("jobs", "run", "expire", "sync")
    assert state(cli)[0] == "over quota", "a new month alone changes nothing"
    clock.forward(days=1)
    cli("jobs", "run", "expire", "sync")
    assert state(cli)[0] == "active"


def test_a_limit_of_each_node_cuts_there_and_nowhere_else(shop, cli, passes):
    shop(node_traffic="1 MiB")
    assert cli("peer", "add", "alice/laptop", "--node", "de").code == 0
    passes("fi", 2 * MIB)
    assert state(cli) == ("over quota", "traffic on this node used up")
    assert state(cli, "laptop") == ("active", None)


@pytest.mark.parametrize(
    ("action", "cut", "closed"), [("warn", False, False), ("close", False, True), ("stop", True, True)]
)
def test_what_follows_when_a_nodes_own_traffic_is_used_up(shop, cli, passes, action, cut, closed):
    shop()
    cli("user", "add", "bob", "--unlimited")
    assert cli("node", "set", "fi", "--traffic-limit", "1 MiB", "--traffic-action", action).code == 0
    passes("fi", 2 * MIB)
    assert (state(cli)[0] == "over quota") is cut
    said = cli("peer", "add", "bob", "--node", "fi")
    assert (said.code == 5) is closed
    assert ("takes no more devices" in said.err) is closed
    added = cli("peer", "add", "bob/other")
    assert added.code == 0
    if closed:
        assert [row["node"] for row in cli("peer", "list", "--user", "bob", "--json").json] == ["de"]
    assert "its traffic of this month is used up" in cli("status").out


def test_a_node_that_stopped_serves_again_when_its_limit_is_raised(shop, cli, passes):
    shop()
    cli("node", "set", "fi", "--traffic-limit", "1 MiB", "--traffic-action", "stop")
    passes("fi", 2 * MIB)
    assert state(cli) == ("over quota", "the node's own traffic of this month used up")
    cli("node", "set", "fi", "--traffic-limit", "1 GiB")
    assert cli("node", "sync", "fi").code == 0
    assert state(cli) == ("active", None)


def test_limits_go_out_and_in_with_the_inventory(shop, cli, tmp_path):
    shop(traffic="1 GiB", traffic_period="week", node_traffic="512 MiB")
    cli("node", "set", "fi", "--traffic-limit", "1 TiB", "--traffic-action", "close")
    text = cli("inventory", "export").out
    assert "traffic_period: week" in text
    assert "node_traffic: 512 MiB" in text
    assert "traffic_action: close" in text
    path = tmp_path / "out.yaml"
    path.write_text(text)
    assert cli("inventory", "apply", str(path), "--yes", "--json").json["changed"] is False
    assert "1 GiB a week, 512 MiB on each node" in cli("inventory", "apply", str(_renamed(path)), "--dry-run").out


def _renamed(path):
    text = path.read_text().replace("name: limited", "name: another")
    other = path.with_name("other.yaml")
    other.write_text(text)
    return other


@pytest.mark.parametrize("wrong", [{"traffic_period": "year"}, {"node_traffic": "much"}])
def test_what_is_no_limit_is_refused_with_its_line(cli, tmp_path, wrong):
    cli("init", "--yes")
    path = tmp_path / "plans.yaml"
    path.write_text("plans:\n- name: x\n  days: 1\n" + "".join(f"  {name}: {value}\n" for name, value in wrong.items()))
    said = cli("inventory", "apply", str(path), "--yes")
    assert said.code == 2
    assert "plans.yaml:" in said.err
