"""A 3x-ui panel as a node: people are put in, seen there, disabled, taken out, and nobody else is touched."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from tests.conftest import _fp
from tests.support import panel as panels
from tests.support.panel import ANCIENT, GENERATIONS, MIDDLE, NEW, OLD, Panel
from vpnctl.store import models
from vpnctl.store.rows import Node

HOST = "p.example.org"


@pytest.fixture
def panel(request):
    found = Panel(getattr(request, "param", NEW))
    found.add(3, 8443)
    found.put(3, "guest@there", comment="the keeper's own")
    return found


@pytest.fixture
def node(cli, fleet, panel):
    assert cli("init", "--yes").code == 0
    fake = fleet[HOST]
    fake.panel, fake.listening = panel, {8443, 9443}
    assert cli("node", "add", "p", f"root@{HOST}", "--host-key-fp", _fp()).code == 0
    cli("user", "add", "alice", "bob")
    return fake


def get_in(cli, panel):
    """Tell where the panel is, by the means that this generation has."""
    url = "http://127.0.0.1:2053/abc/"
    if panel.csrf:
        said = cli("node", "panel", "p", url, "--token-stdin", stdin=panel.token)
    else:
        said = cli("node", "panel", "p", url, "--username", "admin", "--password-stdin", stdin="s3cret")
    assert said.code == 0, said.err
    return said


@pytest.fixture
def served(cli, node, panel):
    get_in(cli, panel)
    said = cli("node", "provision", "p")
    assert said.code == 0, said.err
    return node


def add(cli, name="alice", *more):
    said = cli("peer", "add", name, *more)
    assert said.code == 0, said.err
    return said.out.strip()


def mine(panel, number=3):
    """Return our only client in an inbound."""
    (found,) = [each for email, each in panel.clients(number).items() if email.startswith("p-")]
    return found


every = pytest.mark.parametrize("panel", GENERATIONS, indirect=True)


@every
def test_a_person_is_put_in_and_seen(served, cli, panel):
    link = urlsplit(add(cli))
    found = mine(panel)
    assert (link.scheme, link.username, link.port) == ("vless", found["id"], 8443)
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert query["security"] == "reality"
    assert (query["sni"], query["sid"], query["fp"], query["flow"]) == ("example.org", "ab12", "firefox", found["flow"])
    assert found["enable"] is True
    assert (found["totalGB"], found["expiryTime"]) == (0, 0)
    assert cli("peer", "list", "--json").json[0]["state"] == "active"
    assert cli("peer", "verify", "alice", "--json").json["verdict"] == "ok"


@every
def test_suspended_means_seen_disabled_and_resumed_seen_enabled(served, cli, panel):
    add(cli)
    before = mine(panel)["id"]
    said = cli("peer", "suspend", "alice", "--yes")
    assert said.code == 0, said.err
    assert "no longer on p" in said.err
    assert mine(panel)["enable"] is False
    assert cli("peer", "verify", "alice", "--json").json["verdict"] == "cut, as it should be"
    assert cli("peer", "resume", "alice").code == 0
    assert (mine(panel)["enable"], mine(panel)["id"]) == (True, before)


def test_what_is_open_of_somebody_who_is_cut_off_is_ended(served, cli, panel):
    add(cli)
    name = mine(panel)["email"]
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert panel.cut == [name]


def test_that_nobody_can_end_what_is_open_is_said(served, cli, panel):
    panel.logs = False
    add(cli)
    said = cli("peer", "suspend", "alice", "--yes")
    assert said.code == 0
    assert "what is open goes on until it ends" in said.err


@every
def test_a_renewed_device_takes_the_place_of_the_old_one(served, cli, panel):
    add(cli)
    before = mine(panel)["id"]
    assert cli("peer", "regen", "alice", "--yes").code == 0
    assert mine(panel)["id"] != before


@every
def test_revoked_means_seen_deleted_also_when_it_was_disabled(served, cli, panel):
    add(cli)
    add(cli, "bob")
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert cli("peer", "revoke", "alice", "--yes").code == 0
    assert cli("peer", "revoke", "bob", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]


@every
def test_the_last_client_of_an_inbound_can_be_revoked(served, cli, panel):
    panel.inbounds[3]["settings"]["clients"] = []
    add(cli)
    said = cli("peer", "revoke", "alice", "--yes")
    assert said.code == 0, said.err
    left = panel.clients(3)
    assert not any(email.startswith("p-") for email in left)
    assert not any(each["enable"] for each in left.values())
    add(cli, "bob")
    assert cli("node", "check", "p").code == 0
    assert not cli("node", "show", "p", "--json").json["aliens"], "what keeps the inbound is ours"


@every
def test_what_its_keeper_wrote_into_a_client_stays(served, cli, panel):
    add(cli)
    mine(panel).update(limitIp=2, comment="pays cash", tgId=77)
    panel.records[mine(panel)["email"]] = 5
    cli("peer", "suspend", "alice", "--yes")
    cli("peer", "resume", "alice")
    found = mine(panel)
    assert (found["limitIp"], found["comment"], found["tgId"]) == (2, "pays cash", 77)
    assert panel.records[found["email"]] == 5


@every
def test_nobody_elses_client_is_ever_touched(served, cli, panel):
    before = json.dumps(panel.clients(3)["guest@there"])
    add(cli)
    cli("peer", "suspend", "alice", "--yes")
    cli("peer", "revoke", "alice", "--yes")
    cli("node", "sync", "p")
    assert json.dumps(panel.clients(3)["guest@there"]) == before
    shown = cli("node", "show", "p", "--json").json["aliens"]
    assert [each["public_key"] for each in shown] == ["guest@there"]


@every
def test_many_go_in_at_once(served, cli, panel):
    rows = "".join(f"{name}/d{number}\n" for name in ("alice", "bob") for number in range(60))
    said = cli("peer", "add", "--from", "-", stdin=rows)
    assert said.code == 0, said.err
    assert len(panel.clients(3)) == 121


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


@every
def test_traffic_is_counted_and_a_quota_disables(served, cli, panel, clock, tmp_path):
    plan = tmp_path / "p.yaml"
    plan.write_text("plans:\n- name: small\n  days: 30\n  traffic: 1 GiB\n")
    cli("inventory", "apply", str(plan), "--yes")
    add(cli)
    cli("user", "set", "alice", "--limited")
    cli("subscription", "grant", "alice", "--plan", "small")
    clock.forward(minutes=5)
    panel.inbounds[3]["stats"][mine(panel)["email"]].update(up=2**30, down=2**20)
    cli("jobs", "run", "usage")
    assert cli("traffic", "show", "--user", "alice", "--json").json[-1]["total"] == 2**30 + 2**20
    cli("jobs", "run", "sync")
    assert mine(panel)["enable"] is False


@pytest.mark.parametrize("panel", [MIDDLE, NEW], indirect=True)
def test_a_change_takes_two_calls_and_a_look_one(served, cli, panel):
    """Without a token, logging in takes two more."""
    add(cli)
    served.calls = 0
    cli("node", "sync", "p")
    assert served.calls == 1
    served.calls = 0
    add(cli, "bob")
    assert served.calls == 2


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


def mine_of(cli, panel, user):
    row = next(each for each in cli("peer", "list", "--json").json if each["user"] == user)
    return panel.clients(3)[row["public_key"]]


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


def test_people_move_there_from_wireguard_and_the_old_device_ends_when_the_new_one_was_seen(
    served, cli, fleet, panel, clock
):
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    cli("peer", "add", "alice", "--node", "fi")
    said = cli("user", "migrate", "alice", "--to", "p", "--protocol", "3x-ui")
    assert said.code == 0, said.err
    assert "vless://" in said.out
    clock.forward(minutes=5)
    panel.inbounds[3]["stats"][mine(panel)["email"]].update(up=1000, down=2000)
    cli("jobs", "run", "usage", "sync")
    assert [row["node"] for row in cli("peer", "list", "--json").json] == ["p"]


def test_the_server_itself_says_where_its_panel_is_and_makes_a_token(node, cli, panel):
    node.panel_says = {
        "-show": "current panel settings as follows:\nhasDefaultCredential: false\nport: 2053\nwebBasePath: /abc/\n",
        "-getApiToken": f"apiToken: {panel.token}\n",
    }
    said = cli("node", "provision", "p", "--protocol", "3x-ui")
    assert said.code == 0, said.err
    assert cli("node", "show", "p", "--json").json["protocols"] == "3x-ui:8443"


def test_a_server_without_token_asks_for_the_password(node, cli, panel):
    node.panel_says = {"-show": "port: 2053\nwebBasePath: /abc/\n"}
    said = cli("node", "provision", "p", "--protocol", "3x-ui")
    assert said.code == 2
    assert "--username NAME --password-stdin" in said.err
    panel.generation = OLD
    assert cli("node", "panel", "p", "--username", "admin", "--password-stdin", stdin="s3cret").code == 0
    assert cli("node", "provision", "p").code == 0


@pytest.mark.parametrize("panel", [ANCIENT, OLD, MIDDLE, NEW], indirect=True)
def test_a_wrong_password_is_said_and_nothing_is_saved(node, cli, panel):
    said = cli(
        "node", "panel", "p", "http://127.0.0.1:2053/abc", "--username", "admin", "--password-stdin", stdin="bad"
    )
    assert said.code == 10
    assert "does not let admin log in" in said.err
    assert "bad" not in said.err
    said = cli(
        "node", "panel", "p", "http://127.0.0.1:2053/abc", "--username", "admin", "--password-stdin", stdin="s3cret"
    )
    assert said.code == 0, said.err


def test_a_health_check_reads_the_server_too(served, cli):
    cli("jobs", "run", "health")
    cli("jobs", "run", "health")
    assert cli("node", "list", "--json").json[0]["health"] == "up"


def test_no_secret_of_a_panel_stands_in_an_event_or_a_list(served, cli, panel):
    add(cli)
    said = "".join(
        cli(*args).out for args in (("event", "list", "--json"), ("node", "show", "p"), ("node", "panel", "p"))
    )
    assert panel.token not in said
    assert mine(panel)["id"] not in said
    assert mine(panel)["subId"] not in said


def seen_absent(cli):
    return [each for each in cli("event", "list", "--json").json if each["verb"] == "peer.seen_absent"]


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


@every
def test_traffic_is_counted_once_however_often_somebody_is_suspended(served, cli, panel, clock):
    add(cli)
    clock.forward(minutes=5)
    panel.inbounds[3]["stats"][mine(panel)["email"]].update(up=1000, down=5000)
    for _ in range(3):
        cli("jobs", "run", "usage")
        cli("peer", "suspend", "alice", "--yes")
        cli("node", "sync", "p")
        cli("peer", "resume", "alice")
        clock.forward(minutes=5)
    assert cli("traffic", "show", "--user", "alice", "--json").json[-1]["total"] == 6000


@every
def test_a_flow_that_does_not_fit_the_inbound_is_drift(served, cli, panel):
    add(cli)
    mine(panel)["flow"] = ""
    assert cli("node", "check", "p").code == 4
    assert cli("node", "sync", "p").code == 0
    assert mine(panel)["flow"] == "xtls-rprx-vision"


@every
def test_the_only_client_of_an_inbound_can_be_renewed(served, cli, panel):
    panel.inbounds[3]["settings"]["clients"] = []
    add(cli)
    before = mine(panel)["id"]
    assert cli("peer", "regen", "alice", "--yes").code == 0
    assert mine(panel)["id"] != before


@every
def test_suspended_means_switched_off_and_not_merely_used_up(served, cli, panel):
    add(cli)
    panel.inbounds[3]["stats"][mine(panel)["email"]]["enable"] = False
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert mine(panel)["enable"] is False


def test_who_was_replaced_is_deleted_and_not_kept_disabled(served, cli, fleet, panel, clock):
    add(cli)
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    assert cli("user", "migrate", "alice", "--to", "fi", "--protocol", "wireguard").code == 0
    assert len(panel.clients(3)) == 2, "make before break"
    clock.forward(days=9)
    cli("jobs", "run", "sync")
    assert list(panel.clients(3)) == ["guest@there"]
    assert len(seen_absent(cli)) == 1


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


@pytest.mark.parametrize("url", ["https://host:99999/", "https://[bad/", "http://127.0.0.1:2053/a?b"])
@pytest.mark.parametrize("name", ["p", "new"])
def test_an_address_that_is_none_is_said_to_be_none(node, cli, name, url):
    said = cli("node", "panel", name, url, "--token-stdin", stdin="x")
    assert said.code == 2
    assert "is not a panel's address" in said.err


def test_a_node_that_serves_something_itself_has_no_panel_beside_it(node, cli, fleet, panel):
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    said = cli("node", "panel", "fi", "http://127.0.0.1:2053/abc", "--token-stdin", stdin=panel.token)
    assert said.code == 5
    assert "fi-panel" in said.err


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


def mine_there(cli, panel, user):
    row = next(each for each in cli("peer", "list", "--json").json if each["user"] == user)
    return panel.clients(4)[row["public_key"]]


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


@pytest.mark.parametrize("token", ["tok\u0416en", "two words"])
def test_a_token_has_one_grammar(node, cli, token):
    said = cli("node", "panel", "p", "http://127.0.0.1:2053/abc", "--token-stdin", stdin=token)
    assert (said.code, "that is not a token" in said.err) == (2, True)


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
