"""A second protocol, which has nothing that WireGuard has, goes the whole way on the in-memory node."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests import fakenode
from tests.conftest import _fp
from tests.support.toy import ToyPart
from vpnctl import protocols
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import find, models
from vpnctl.store.rows import Peer

LINK = re.compile(r"toy://(?P<secret>[\w-]{32})@(?P<host>[a-z.]+):(?P<port>\d+)#(?P<tag>tag-[0-9a-f]{8})\n")


@pytest.fixture
def toy(monkeypatch, fleet):
    monkeypatch.setitem(protocols.PLUGINS, "toy", "tests.support.toy")
    monkeypatch.setitem(fakenode.PARTS, "toy", ToyPart)


@pytest.fixture
def serve_toy(toy, cli, fleet):
    """A service whose nodes serve toy alone."""

    def add(name):
        host = f"root@{name}.example.org"
        assert cli("node", "add", name, host, "--host-key-fp", _fp()).code == 0
        said = cli("node", "provision", name, "--protocol", "toy")
        assert said.code == 0, said.err
        return fleet[f"{name}.example.org"]

    assert cli("init", "--yes").code == 0
    cli("user", "add", "alice", "bob")
    return add


@pytest.fixture
def fi(serve_toy):
    return serve_toy("fi")


def users_of(node, name="toy0"):
    return node.parts["toy"].running[name][2]


def add(cli, *args):
    said = cli("peer", "add", *args, "--protocol", "toy")
    assert said.code == 0, said.err
    found = LINK.fullmatch(said.out)
    assert found, said.out
    return found


def test_a_person_gets_a_link_and_is_seen_on_the_node(fi, cli):
    link = add(cli, "alice")
    assert users_of(fi) == {link["tag"]: [link["secret"], 0, 0]}
    assert (link["host"], link["port"]) == ("fi.example.org", "8443")
    row = cli("peer", "list", "--json").json[0]
    assert (row["state"], row["protocol"], row["ipv4"], row["public_key"]) == ("active", "toy", None, link["tag"])
    assert cli("peer", "config", "alice").out == link.group()
    assert cli("peer", "verify", "alice", "--json").json["verdict"] == "ok"


def test_the_endpoint_is_shown_with_its_options_and_set_by_them(fi, cli):
    row = cli("endpoint", "show", "fi", "toy0", "--json").json
    assert (row["transport"], row["greeting"], row["port"]) == ("tcp", "hello", 8443)
    assert "pool_v4" not in row
    assert cli("endpoint", "list").code == 0
    said = cli("endpoint", "set", "fi", "toy0", "--mtu", "1400")
    assert said.code == 2
    assert "mtu: unknown key" in said.err
    assert cli("endpoint", "set", "fi", "toy0", "--port", "9443", "--yes").code == 0
    assert fi.listening == {9443}


def test_a_second_settle_changes_nothing_and_takes_one_look(fi, app):
    with app.store.read() as tx:
        node = find.node(tx, "fi")
    fi.calls = fi.writes = 0
    assert settle(app, [node.id], Wish(scope=SYSTEM, always=True))[0].code == 0
    assert (fi.calls, fi.writes) == (1, 0)


@pytest.mark.parametrize(("verb", "back"), [("suspend", "resume"), ("revoke", ""), ("regen", "")])
def test_what_is_said_of_a_device_is_seen_on_the_node(fi, cli, verb, back):
    link, other = add(cli, "alice"), add(cli, "bob")
    assert cli("peer", verb, "alice", "--yes").code == 0
    assert link["tag"] not in users_of(fi)
    assert other["tag"] in users_of(fi)
    if back:
        assert cli("peer", back, "alice").code == 0
        assert users_of(fi)[link["tag"]][0] == link["secret"], "the same credentials as before"


def test_a_node_that_does_not_answer_is_pending_and_healed(fi, cli):
    link = add(cli, "alice")
    fi.down = True
    assert cli("peer", "revoke", "alice").code == 3
    fi.down = False
    assert cli("node", "sync", "fi").code == 0
    assert link["tag"] not in users_of(fi)


@pytest.mark.parametrize("how", ["die_before_call", "die_after_call", "die_at_step"])
def test_broken_at_any_point_the_next_settle_heals(fi, cli, how):
    first = add(cli, "alice")
    for point in range(1, 12):
        fi.calls = fi.steps = 0
        setattr(fi, how, point)
        said = cli("peer", "regen", "alice")
        setattr(fi, how, 0)
        if said.code:
            assert cli("node", "sync", "fi").code == 0
        assert first["tag"] not in users_of(fi)
        assert len(users_of(fi)) == 1


def test_no_key_of_the_users_own_is_taken(fi, cli):
    said = cli("peer", "add", "alice", "--protocol", "toy", "--public-key", "x" * 44)
    assert said.code == 2
    assert "toy has no keys" in said.err


def test_a_config_can_be_shown_again_although_no_clients_secret_is_kept(fi, cli, monkeypatch):
    monkeypatch.setenv("VPNCTL_CLIENT_SECRETS", "discard")
    link = add(cli, "alice")
    assert cli("peer", "config", "alice").out == link.group()


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda node: node.files.pop("/etc/toy/toy0.conf"), "write"),
        (lambda node: node.files.pop("/etc/systemd/system/toy@.service"), "write"),
        (lambda node: node.parts["toy"].stop("toy0"), "not running"),
        (lambda node: node.units.pop("toy@toy0.service"), "start unit"),
        (lambda node: users_of(node).clear(), "missing peer"),
        (lambda node: next(iter(users_of(node).values())).__setitem__(0, "x"), "parameter drift"),
        (lambda node: users_of(node).__setitem__("guest", ["pw", 0, 0]), "alien peer"),
    ],
)
def test_drift_is_named_and_healed(fi, cli, spoil, kind):
    link = add(cli, "alice")
    spoil(fi)
    said = cli("node", "check", "fi", "--json")
    assert said.code == 4
    assert kind in {change["kind"] for node in said.json for change in node["changes"]}
    assert cli("node", "sync", "fi").code == 0
    assert users_of(fi)[link["tag"]][0] == link["secret"]
    if kind == "alien peer":
        assert users_of(fi)["guest"][0] == "pw", "what is not ours is kept, with its secret"
    assert cli("node", "check", "fi").code == 0


def test_an_inventory_goes_out_and_in_with_the_options_of_the_protocol(fi, cli, tmp_path):
    text = cli("inventory", "export").out
    assert "protocol: toy" in text
    assert "greeting: hello" in text
    path = tmp_path / "i.yaml"
    path.write_text(text)
    assert cli("inventory", "apply", str(path), "--yes", "--json").json["changed"] is False
    path.write_text(text.replace("greeting: hello", "greeting: moin"))
    assert cli("inventory", "apply", str(path), "--yes").code == 0
    assert b"greeting moin" in fi.files["/etc/toy/toy0.conf"][1]
    path.write_text(text.replace("greeting: hello", "mtu: 1400"))
    said = cli("inventory", "apply", str(path), "--yes")
    line = next(n for n, each in enumerate(path.read_text().splitlines(), 1) if "mtu:" in each)
    assert said.code == 2
    assert f"{path.name}:{line}: nodes.0.endpoints.0.mtu: unknown key" in said.err
    path.write_text(text.replace("realm: main", "realm: other"))
    assert "realm of an endpoint does not change" in cli("inventory", "apply", str(path), "--yes").err


def test_a_move_ends_when_the_new_device_was_heard_of_by_its_traffic(fi, serve_toy, cli, clock):
    old = add(cli, "alice")
    de = serve_toy("de")
    said = cli("user", "migrate", "alice", "--to", "de")
    assert said.code == 0, said.err
    new = LINK.fullmatch(said.out)
    assert new["host"] == "de.example.org"
    assert old["tag"] in users_of(fi), "make before break"
    clock.forward(minutes=5)
    users_of(de)[new["tag"]][1:] = [1000, 2000]
    cli("jobs", "run", "usage", "sync")
    assert old["tag"] not in users_of(fi)
    assert new["tag"] in users_of(de)


def test_traffic_is_counted_and_a_quota_cuts(fi, cli, clock, tmp_path):
    plan = tmp_path / "p.yaml"
    plan.write_text("plans:\n- name: small\n  days: 30\n  traffic: 1 GiB\n")
    cli("inventory", "apply", str(plan), "--yes")
    link = add(cli, "alice")
    cli("user", "set", "alice", "--limited")
    cli("subscription", "grant", "alice", "--plan", "small")
    clock.forward(minutes=5)
    users_of(fi)[link["tag"]][1:] = [2**30, 2**20]
    cli("jobs", "run", "usage")
    assert cli("traffic", "show", "--user", "alice", "--json").json[-1]["total"] == 2**30 + 2**20
    cli("jobs", "run", "sync")
    assert link["tag"] not in users_of(fi)


def test_health_opens_a_connection(fi, cli):
    cli("jobs", "run", "health")
    cli("jobs", "run", "health")
    assert cli("node", "list", "--json").json[0]["health"] == "up"
    fi.listening = set()
    said = cli("node", "check", "fi")
    assert said.code == 4
    assert "no handshake toy0 (refused)" in said.out


def test_both_protocols_live_on_one_node(fi, cli):
    assert cli("node", "provision", "fi", "--protocol", "wireguard").code == 0
    link = add(cli, "alice")
    assert "[Interface]" in cli("peer", "add", "alice", "--device", "phone").out
    assert cli("node", "check", "fi").code == 0
    assert cli("endpoint", "remove", "fi", "toy0", "--revoke-peers", "--yes").code == 0
    assert "/etc/toy/toy0.conf" not in fi.files
    assert "toy0" not in fi.parts["toy"].running
    assert link["tag"] not in str(fi.files)
    assert len(fi.live_keys()) == 1


def test_a_taken_port_is_one_of_the_same_transport(fi, cli):
    fi.facts["tcp_ports"] = "8443 22"
    fi.parts["toy"].stop("toy0")
    said = cli("node", "sync", "fi")
    assert "TCP port 8443 is used by another program" in said.err
    fi.facts["tcp_ports"] = "22"
    assert cli("endpoint", "add", "fi", "wireguard", "--port", "8443").code == 0, "UDP has ports of its own"


def test_a_reason_that_holds_part_of_a_secret_is_not_shown(fi, cli):
    link = add(cli, "alice")
    fi.answer = lambda out: out.replace(b"did\tsync", b"failed\tsync").replace(
        b"failed\tsync\ttoy0", f"failed\tsync\ttoy0\t\tuser {link['secret'][:20]} is odd".encode()
    )
    said = cli("peer", "add", "bob", "--protocol", "toy")
    assert link["secret"][:12] not in said.err
    assert "its reason holds part of a key" in said.err


def test_a_file_for_the_chat_has_the_protocols_name_and_end(fi, cli, app):
    from vpnctl.actions.talk import handover

    link = add(cli, "alice")
    with app.store.read() as tx:
        peer = tx.one(Peer, models.peer.c.identity == link["tag"])
    part = handover.package(app, handover.FILE, peer.id)
    assert (part.name, part.content) == ("alice.txt", link.group().encode())
    assert handover.package(app, handover.QR, peer.id).name == "alice.png"
    assert peers.reveal_id(app, peer.id).secret is None


def test_what_expires_is_cut(fi, cli, clock, tmp_path):
    plan = tmp_path / "p.yaml"
    plan.write_text("plans:\n- name: days\n  days: 3\n")
    cli("inventory", "apply", str(plan), "--yes")
    link = add(cli, "alice")
    cli("user", "set", "alice", "--limited")
    assert link["tag"] not in users_of(fi)
    cli("subscription", "grant", "alice", "--plan", "days")
    assert link["tag"] in users_of(fi)
    clock.forward(days=4)
    cli("jobs", "run", "expire", "sync")
    assert link["tag"] not in users_of(fi)


ROOT = Path(__file__).parents[2]
KNOWN = {
    "vpnctl/protocols/__init__.py": "where plug-ins are registered",
    "vpnctl/cli/nodes.py": "help texts",
    "vpnctl/cli/peers.py": "help texts",
    "vpnctl/cli/endpoints.py": "help texts",
    "vpnctl/cli/node_adopt.py": "help texts",
    "vpnctl/texts/link.py": "what sing-box calls an entry that is no outbound",
    "vpnctl/rules/grammar.py": "the form of a key, and an example",
}


def words(path):
    """The code of a module, without comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if hasattr(node, "body") and isinstance(node.body, list):
            node.body = [
                each for each in node.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)


def test_nothing_outside_its_own_package_knows_wireguard():
    """AmneziaWG is built on it."""
    knows = re.compile(r"wireguard(?!-go)|\bwg\d?\b|(?<!amnezia)wg[-_]|pool_v4|persistent_keepalive", re.IGNORECASE)
    found = {
        str(path.relative_to(ROOT))
        for folder in ("vpnctl", "bot")
        for path in (ROOT / folder).rglob("*.py")
        if not any(each in str(path) for each in ("protocols/wireguard", "protocols/amneziawg", "migrations"))
        and knows.search(words(path))
    }
    assert found <= KNOWN.keys()
    assert not re.search(r"\bwg\b|awg|wireguard", re.sub(r"^ *#.*", "", (ROOT / "vpnctl/remote/node.sh").read_text(), flags=re.M))  # fmt: skip
