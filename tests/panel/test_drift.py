"""What goes wrong in a panel: changes by hand, lies, breaks, another controller."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from tests.panel.people import add, every, mine, mine_of
from vpnctl.store import models
from vpnctl.store.rows import Node

SPOILED = {
    "taken out": (lambda panel: panel.inbounds[3]["settings"]["clients"].remove(mine(panel)), "missing peer"),
    "disabled": (lambda panel: mine(panel).update(enable=False), "parameter drift"),
    "used up": (lambda panel: panel.inbounds[3]["stats"][mine(panel)["email"]].update(enable=False), "parameter drift"),
    "limited": (lambda panel: mine(panel).update(totalGB=1000), "parameter drift"),
    "expires": (lambda panel: mine(panel).update(expiryTime=-86400000), "parameter drift"),
    "another secret": (lambda panel: mine(panel).update(id="1" * 8), "parameter drift"),
    "a stranger": (lambda panel: panel.put(3, "x" * 70), "alien peer"),
}


@every
@pytest.mark.parametrize("how", SPOILED)
def test_drift_made_in_the_panel_is_named_and_healed(served, cli, panel, how):
    spoil, kind = SPOILED[how]
    add(cli)
    held = mine(panel)["id"]
    spoil(panel)
    said = cli("node", "check", "p", "--json")
    assert said.code == 4
    assert kind in {each["kind"] for row in said.json for each in row["changes"]}
    assert cli("node", "sync", "p").code == 0
    found = mine(panel)
    assert (found["id"], found["enable"], found["totalGB"], found["expiryTime"]) == (held, True, 0, 0)
    assert cli("node", "check", "p").code == 0


def test_who_was_suspended_and_is_enabled_by_hand_is_disabled_again(served, cli, panel):
    add(cli)
    cli("peer", "suspend", "alice", "--yes")
    mine(panel)["enable"] = True
    panel.inbounds[3]["stats"][mine(panel)["email"]]["enable"] = True
    assert cli("node", "check", "p").code == 4
    assert cli("node", "sync", "p").code == 0
    assert mine(panel)["enable"] is False


MOODS = {
    "html": "does not answer as a panel does",
    "redirect": "the panel lets us in nowhere",
    "odd": "its list of inbounds is none that vpnctl knows",
    "error": "does not answer as a panel does (HTTP 502)",
}


@pytest.mark.parametrize("mood", MOODS)
def test_a_panel_that_is_not_itself_leaves_a_change_pending_and_it_is_made_later(served, cli, panel, mood):
    add(cli)
    panel.mood = mood
    said = cli("peer", "revoke", "alice", "--yes")
    assert said.code == 3
    assert MOODS[mood] in said.err
    assert cli("peer", "list", "--json").json[0]["state"] == "revoked, cut pending"
    panel.mood = ""
    assert cli("node", "sync", "p").code == 0
    assert list(panel.clients(3)) == ["guest@there"]


@every
def test_a_panel_that_says_ok_and_does_nothing_is_not_believed(served, cli, panel):
    add(cli)
    panel.mood = "deaf"
    said = cli("peer", "suspend", "alice", "--yes")
    assert said.code == 3
    assert "still differs" in said.err
    said = cli("peer", "add", "bob")
    assert said.code == 3
    panel.mood = ""
    assert cli("node", "sync", "p").code == 0
    assert mine_of(cli, panel, "alice")["enable"] is False


def test_a_panel_that_became_another_generation_is_written_to_the_other_way(served, cli, panel, monkeypatch):
    """Between a look and a change it was upgraded: what it no longer knows is told as it is told now."""
    add(cli)
    shown = panel._shown
    monkeypatch.setattr(panel, "_shown", lambda one: {**shown(one), "settings": json.dumps(one["settings"])})
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert mine(panel)["enable"] is False


@pytest.mark.parametrize("how", ["die_before_call", "die_after_call"])
@every
def test_broken_at_any_call_the_next_settle_heals(served, cli, panel, how):
    add(cli)
    for point in range(1, 6):
        served.calls = 0
        setattr(served, how, point)
        said = cli("peer", "regen", "alice", "--yes")
        setattr(served, how, 0)
        if said.code:
            assert cli("node", "sync", "p").code == 0
        assert mine(panel)["enable"] is True


def test_another_controller_is_noticed_and_nothing_is_written(served, cli, panel):
    add(cli)
    served.panel_token = "f" * 32
    said = cli("peer", "revoke", "alice", "--yes")
    assert "another controller" in said.err
    assert mine(panel)["enable"] is True


def test_a_server_that_was_changed_meanwhile_is_looked_at_again(served, cli, panel, app):
    """Between a look and a change, another process of this database wrote its token there."""
    add(cli)
    calls = iter(range(9))

    def other():
        if next(calls) == 1:
            with app.store.write() as tx:
                node = tx.one(Node, models.node.c.name == "p")
                row = {"node_id": node.id, "value": "e" * 32, "issued_at": app.clock()}
                tx.execute(sa.insert(models.token).values(**row))
            served.panel_token = "e" * 32

    served.before_apply = other
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert next(calls) == 6, "a look, a record that is read, a change that is refused, and all three again"
    assert mine(panel)["enable"] is False


def test_a_health_check_reads_the_server_too(served, cli):
    cli("jobs", "run", "health")
    cli("jobs", "run", "health")
    assert cli("node", "list", "--json").json[0]["health"] == "up"


@every
def test_a_flow_that_does_not_fit_the_inbound_is_drift(served, cli, panel):
    add(cli)
    mine(panel)["flow"] = ""
    assert cli("node", "check", "p").code == 4
    assert cli("node", "sync", "p").code == 0
    assert mine(panel)["flow"] == "xtls-rprx-vision"


@every
def test_of_two_clients_with_one_name_both_must_be_off(served, cli, panel):
    add(cli)
    twin = {**mine(panel), "id": "11111111-1111-4111-8111-111111111111"}
    panel.inbounds[3]["settings"]["clients"].insert(1, twin)
    said = cli("peer", "suspend", "alice", "--yes")
    left = [each["enable"] for each in panel.inbounds[3]["settings"]["clients"] if each["email"].startswith("p-")]
    assert said.code == (3 if any(left) else 0)


@pytest.mark.parametrize("value", [None, "true", 1])
def test_a_switch_that_is_none_counts_as_on(served, cli, panel, value):
    add(cli)
    cli("peer", "suspend", "alice", "--yes")
    found = mine(panel)
    if value is None:
        del found["enable"]
    else:
        found["enable"] = value
    assert cli("node", "check", "p").code == 4
    assert cli("node", "sync", "p").code == 0
    assert mine(panel)["enable"] is False
