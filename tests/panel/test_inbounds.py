"""Which inbounds are served, and what becomes of people when one changes, moves or goes."""

from __future__ import annotations

import pytest

from tests.conftest import _fp
from tests.panel.people import HOST, add, every, get_in, mine_of, mine_there, seen_absent
from tests.support import panel as panels
from vpnctl.store import models
from vpnctl.store.rows import Node


def test_inbounds_that_people_cannot_use_are_named_and_left_alone(node, cli, panel):
    panel.add(4, 51820, "wireguard", {}, clients=None)
    panel.add(5, 9443, stream={"network": "kcp"})
    panel.add(6, 9444, "amneziawg", {}, peers=[])
    get_in(cli, panel)
    said = cli("node", "provision", "p")
    assert said.code == 0
    for words in ("inbound 4 is left alone: its protocol is wireguard", "inbound 5 is left alone: its way is kcp"):
        assert words in said.err
    assert "inbound 6 is left alone: its protocol is amneziawg" in said.err
    rows = cli("node", "panel", "p", "--json").json
    assert next((row["inbound"], row["served"], row["clients"]) for row in rows) == (3, "in3", 1)
    assert [row["served"] for row in rows] == ["in3", "", "", ""]


def test_only_the_inbounds_that_were_named_are_served(node, cli, panel):
    panel.add(
        4, 9443, stream={"network": "ws", "security": "none", "wsSettings": {"path": "/w", "host": "cdn.example"}}
    )
    get_in(cli, panel)
    assert cli("node", "provision", "p", "--inbound", "4").code == 0
    assert [row["interface"] for row in cli("endpoint", "list", "--json").json] == ["in4"]
    link = add(cli)
    assert "type=ws" in link
    assert "path=%2Fw" in link
    assert "host=cdn.example" in link
    assert cli("node", "provision", "p", "--inbound", "9").code == 5


def test_what_was_changed_in_the_panel_is_said_and_taken_over(served, cli, panel):
    add(cli)
    panel.inbounds[3]["stream"] = {
        **panels.REALITY,
        "realitySettings": {**panels.REALITY["realitySettings"], "serverNames": ["other.example"]},
    }
    said = cli("node", "check", "p")
    assert "changed in the panel in3" in said.out
    assert cli("peer", "suspend", "alice", "--yes").code == 0, "who may connect does not depend on it"
    cli("peer", "resume", "alice")
    said = cli("node", "provision", "p")
    assert said.code == 0
    assert "in3 was changed in the panel" in said.err
    assert "sni=other.example" in cli("peer", "config", "alice").out
    assert cli("node", "check", "p").code == 0


def test_an_inbound_that_is_switched_off_is_pending_and_its_people_are_not_shown_as_served(served, cli, panel):
    add(cli)
    panel.inbounds[3]["enable"] = False
    said = cli("node", "sync", "p")
    assert said.code == 3
    assert "the panel has in3 no more, or switched it off" in said.err
    panel.inbounds[3]["enable"] = True
    assert cli("node", "sync", "p").code == 0


def test_an_endpoint_that_is_removed_takes_our_people_out_and_leaves_the_inbound(served, cli, panel):
    add(cli)
    assert cli("endpoint", "remove", "p", "in3", "--revoke-peers", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]
    assert panel.inbounds[3]["enable"] is True


def test_a_node_is_retired_and_the_panel_goes_on(served, cli, panel):
    add(cli)
    assert cli("node", "retire", "p", "--revoke-peers", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]


def test_who_is_revoked_while_the_inbound_is_off_is_deleted_there_and_not_only_believed_to_be(served, cli, panel):
    add(cli)
    panel.inbounds[3]["enable"] = False
    said = cli("peer", "revoke", "alice", "--yes")
    assert said.code == 3, "the inbound is off, and that is said"
    assert list(panel.clients(3)) == ["guest@there"]
    assert len(seen_absent(cli)) == 1


def test_an_inbound_that_is_not_listed_proves_nothing_about_its_people(served, cli, panel):
    add(cli)
    hidden = panel.inbounds.pop(3)
    assert cli("peer", "revoke", "alice", "--yes").code == 3
    assert cli("node", "sync", "p").code == 3
    assert seen_absent(cli) == []
    panel.inbounds[3] = hidden
    assert cli("node", "sync", "p").code == 0
    assert list(panel.clients(3)) == ["guest@there"]
    assert len(seen_absent(cli)) == 1


def test_an_endpoint_that_is_removed_while_its_inbound_is_off_leaves_nobody_of_ours_there(served, cli, panel):
    add(cli)
    panel.inbounds[3]["enable"] = False
    assert cli("endpoint", "remove", "p", "in3", "--revoke-peers", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]


@pytest.mark.parametrize(
    "stream",
    [
        {"network": []},
        {"network": "ws", "wsSettings": 3},
        {"network": "tcp", "externalProxy": [{"dest": "a b", "port": 1}]},
    ],
)
def test_a_strange_inbound_of_somebody_else_hinders_nobody(served, cli, panel, stream):
    panel.add(9, 9443, stream=stream)
    add(cli)
    assert cli("peer", "revoke", "alice", "--yes").code == 0
    assert cli("node", "provision", "p").code == 0
    rows = cli("node", "panel", "p", "--json").json
    assert rows[1]["why"] == "its settings are none that vpnctl knows"


def test_of_two_nodes_on_one_server_one_goes_and_the_other_keeps_what_it_needs(served, cli, panel, app):
    said = []
    served.commands = said
    assert cli("node", "add", "fi", f"root@{HOST}", "--host-key-fp", _fp(), "--provision").code == 0
    assert cli("node", "retire", "p", "--yes").code == 0
    gone = [word for words in said for word in words if words[0] == "rm"]
    assert "/var/lib/vpnctl/panel-token" in gone
    assert "/var/lib/vpnctl/token" not in gone
    with app.store.read() as tx:
        assert tx.one(Node, models.node.c.name == "p").panel_secret_sealed is None


TURNED = {
    "another protocol": lambda one: one.update(protocol="hysteria"),
    "a way that we do not speak": lambda one: one.update(stream={"network": "kcp", "security": "none"}),
}


@pytest.mark.parametrize("how", TURNED)
@every
def test_people_are_cut_from_an_inbound_that_became_something_else_and_nobody_is_put_in(served, cli, panel, how):
    add(cli)
    before = dict(panel.inbounds[3])
    TURNED[how](panel.inbounds[3])
    for each in panel.inbounds[3]["settings"]["clients"]:
        each["auth"] = each["id"]
    assert cli("peer", "add", "bob").code == 3
    assert len(panel.clients(3)) == 2, "nobody is put in"
    assert cli("peer", "revoke", "alice", "--yes").code == 3
    assert list(panel.clients(3)) == ["guest@there"], "who may not connect is taken out all the same"
    panel.inbounds[3].update(protocol=before["protocol"], stream=before["stream"])
    assert cli("node", "sync", "p").code == 0
    assert len(panel.clients(3)) == 2


@every
def test_a_client_of_ours_that_was_moved_to_another_inbound_is_found_there(served, cli, panel):
    panel.add(4, 9443)
    add(cli)
    add(cli, "bob")
    for email, each in list(panel.clients(3).items()):
        if email.startswith("p-"):
            panel.inbounds[3]["settings"]["clients"].remove(each)
            panel.inbounds[4]["settings"]["clients"].append(each)
            panel.inbounds[4]["stats"][email] = panel.inbounds[3]["stats"].pop(email)
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert not mine_there(cli, panel, "alice")["enable"]
    assert cli("node", "sync", "p").code == 0
    assert mine_of(cli, panel, "bob")["enable"], "and who may connect is put back"
    assert cli("peer", "revoke", "alice", "--yes").code == 0
    assert not any(email.startswith("p-") for email in panel.clients(4))


def test_who_may_connect_is_not_taken_from_where_they_were_moved_while_there_is_no_place_for_them(served, cli, panel):
    panel.add(4, 9443)
    add(cli)
    (email,) = [each for each in panel.clients(3) if each.startswith("p-")]
    panel.inbounds[4]["settings"]["clients"].append(panel.clients(3)[email])
    panel.inbounds[3]["settings"]["clients"].remove(panel.clients(3)[email])
    panel.inbounds[3]["stream"] = {"network": "kcp", "security": "none"}
    assert cli("node", "sync", "p").code == 3
    assert list(panel.clients(4)) == [email]


@pytest.mark.parametrize("how", [("--port", "9999"), ("--option", "path=/x"), ("--forward-rule", "ufw")])
def test_what_an_inbound_is_like_is_set_in_the_panel(served, cli, how):
    said = cli("endpoint", "set", "p", "in3", *how, "--yes")
    assert (said.code, "vpnctl node provision p" in said.err) == (2, True)


def test_inbounds_are_named_for_panels_only(node, cli, fleet):
    said = cli("node", "provision", "p", "--protocol", "wireguard", "--inbound", "3")
    assert (said.code, "serves no panel" in said.err) == (2, True)


def test_a_preview_serves_the_inbounds_that_were_named(node, cli, panel):
    panel.add(4, 9443)
    get_in(cli, panel)
    said = cli("node", "provision", "p", "--inbound", "4", "--dry-run")
    assert said.code == 0
    assert cli("endpoint", "list", "--json").json == []
    assert cli("node", "provision", "p", "--inbound", "9", "--dry-run").code == 5
