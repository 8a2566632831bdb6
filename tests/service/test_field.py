"""What the field broke, where no booted server is needed to show it: each row with its right value."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import START
from vpnctl.actions.fleet import aliens
from vpnctl.actions.fleet import clock as guard
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.service import inventory, selfcheck
from vpnctl.actions.service.inventory_form import export, parse
from vpnctl.app import open_app
from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.rules import grammar, money, yamldoc
from vpnctl.rules.changes import SYSTEM
from vpnctl.settings import load
from vpnctl.store import models
from vpnctl.store.rows import Alien, Node, Peer, Subscription

ALL = Wish(scope=SYSTEM, always=True)
PROVE = Wish(scope=SYSTEM, always=True, prove=True)
ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="
PLANS = """
plans:
  - {name: small, days: 30, devices: 2, traffic: 1000, prices: {EUR: 499, XTR: 250}}
  - {name: large, days: 30, devices: 5, traffic: 9000, prices: {EUR: 999}}
"""


def key_of(number):
    import base64

    return base64.b64encode(number.to_bytes(32, "big")).decode()


def node_row(app):
    with app.store.read() as tx:
        return tx.one(Node)


# --- B: proof is remembered, and looked at when a device gets its node ---


@pytest.mark.parametrize("code", ["out", "back", "handshake", "lost", "setup"])
def test_what_the_packet_test_found_is_remembered_and_told_until_it_is_better(app, serve, code):
    node = serve()
    node.fake.path = code
    found = settle(app, [node.id], PROVE)[0]
    assert found.code == 3
    assert node_row(app).path_error
    assert node_row(app).path_at is not None
    settle(app, [node.id], ALL)
    assert node_row(app).path_error, "a settle that tried no packet proves nothing"
    node.fake.path = "ok"
    assert settle(app, [node.id], PROVE)[0].code == 0
    assert node_row(app).path_error is None


def test_a_new_device_goes_to_a_node_through_which_packets_pass(app, serve):
    broken, good = serve("aa"), serve("bb")
    broken.fake.path = "out"
    settle(app, [broken.id], PROVE)
    users.add(app, ["alice", "bob"])
    assert {each.node.id for each in peers.add(app, [Wanted("alice"), Wanted("bob")])} == {good.id}


def test_what_is_not_ours_to_change_is_reported_and_no_drift_for_ever(app, serve):
    node = serve()
    node.fake.ways = {4: 1400}
    found = settle(app, [node.id], ALL)[0]
    assert (found.code, found.changes) == (0, ())
    assert [(note.kind, note.advice) for note in found.notes] == [
        ("MTU too large", "vpnctl endpoint set fi wg0 --mtu 1320")
    ]


def test_an_interface_without_address_is_mended_by_a_word_about_people(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    node.fake.links["wg0"].addresses.clear()
    node.fake.links["wg0"].routes.clear()
    assert settle(app, [node.id])[0].code == 0
    assert node.fake.links["wg0"].addresses


# --- F5: a wrong clock before any job noted it ---


@pytest.mark.parametrize("days", [366, 40, -366, -2])
def test_a_wrong_clock_that_no_job_noted_yet_cuts_nobody(app, serve, clock, days):
    node = serve()
    names = [f"u{number}" for number in range(5)]
    users.add(app, names, unlimited=True)
    peers.add(app, [Wanted(name) for name in names])
    with app.store.write() as tx:
        tx.update(Peer, expires_at=clock() + timedelta(days=30))
    settle(app, [node.id])
    clock.jump(days=days)
    settle(app, [node.id], ALL)
    assert len(node.fake.live_keys()) == 5


def test_nothing_is_pruned_by_a_wrong_clock(service, clock):
    clock.jump(days=366)
    for first in ((), ("node", "sync"), ("user", "add", "alice")):
        assert not first or service(*first).code in (0, 6)
        assert service("jobs", "run", "prune").code == 6, first


def test_a_clock_behind_what_was_recorded_is_named(app, serve, clock):
    serve()
    clock.jump(days=-2)
    assert "behind what was recorded" in guard.backward(app)


# --- F6: decisions that ask nothing of a node move its fence ---


def copied(app):
    """An old copy of the database, as somebody's backup would be."""
    path = app.store.path.with_name("old.db")
    app.store.copy(path)
    from vpnctl.store.engine import Store

    return replace(app, store=Store(f"sqlite:///{path}"))


def test_an_old_copy_cannot_bring_back_who_was_suspended_then_revoked(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    assert settle(app, [node.id])[0].code == 0
    old = copied(app)
    peers.revoke(app, "alice")
    assert settle(app, [node.id])[0].code == 0
    peers.resume(old, "alice")
    assert settle(old, [node.id])[0].code == 7
    assert node.fake.live_keys() == set()


def test_an_old_copy_cannot_cut_who_has_paid_since(app, serve, clock):
    node = serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "small")
    peers.add(app, [Wanted("alice")])
    settle(app, [node.id])
    old = copied(app)
    subscriptions.extend(app, "alice", paid=subscriptions.Paid("p1", "EUR"), days=30)
    settle(app, [node.id])
    clock.forward(days=31)
    assert settle(old, [node.id], ALL)[0].code == 7
    assert len(node.fake.live_keys()) == 1


def test_a_sync_without_a_decision_still_writes_nothing(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    settle(app, [node.id])
    token, writes = node.fake.token, node.fake.writes
    settle(app, [node.id], ALL)
    assert (node.fake.token, node.fake.writes) == (token, writes)


# --- F7, F9: what a node says does not fill our database, and aliens that are gone are forgotten ---


def test_a_node_that_makes_peers_up_is_refused_and_fills_nothing(app, serve):
    node = serve()
    for number in range(1, aliens.MOST + 50):
        node.fake.links["wg0"].peers[key_of(number)] = ["(none)", "10.70.0.1/32", "0", "0", "0"]
    found = settle(app, [node.id], ALL)[0]
    assert found.code == 3
    assert "not ours" in found.error
    with app.store.read() as tx:
        assert tx.all(Alien) == []
        assert (tx.execute(sa.select(sa.func.count()).select_from(models.event)).scalar() or 0) < 20


def test_many_aliens_are_one_event_a_look(app, serve):
    node = serve()
    for number in range(1, 200):
        node.fake.links["wg0"].peers[key_of(number)] = ["(none)", f"10.70.0.{number}/32", "0", "0", "0"]
    assert settle(app, [node.id], ALL)[0].code == 0
    with app.store.read() as tx:
        found = tx.execute(sa.select(models.event.c.after).where(models.event.c.verb == "alien.found")).scalars().all()
    assert [each["count"] for each in found] == [199]


def test_an_alien_that_was_removed_from_live_and_file_is_forgotten(app, serve):
    node = serve()
    node.fake.links["wg0"].peers[ALIEN] = ["(none)", "10.66.0.2/32", "0", "0", "0"]
    settle(app, [node.id], ALL)
    path = "/etc/wireguard/wg0.conf"
    mode, data = node.fake.files[path]
    node.fake.files[path] = (mode, data.split(b"\n# alien")[0])
    del node.fake.links["wg0"].peers[ALIEN]
    assert settle(app, [node.id], ALL)[0].code == 0
    users.add(app, ["alice"])
    assert peers.add(app, [Wanted("alice")])[0].peer.ipv4 == "10.66.0.2", "its address is free again"
    assert settle(app, [node.id])[0].code == 0
    assert ALIEN not in node.fake.all_keys()


# --- F8: a key file is checked before anything is sealed ---


def test_another_installations_key_file_seals_nothing_here(service, settings, tmp_path):
    from vpnctl.store import vault

    service("user", "add", "alice")
    settings.key_file.rename(tmp_path / "right")
    vault.create(settings.key_file)
    assert service("peer", "add", "alice").code == 9
    settings.key_file.unlink()
    (tmp_path / "right").rename(settings.key_file)
    assert service("peer", "list", "--json").json == []
    assert service("peer", "add", "alice").code == 0


def test_a_row_that_does_not_open_costs_that_row_and_is_named(app, serve):
    node = serve()
    users.add(app, ["alice", "bob"])
    peers.add(app, [Wanted("alice"), Wanted("bob")])
    settle(app, [node.id])
    with app.store.write() as tx:
        bob = tx.one(Peer, models.peer.c.user_id == tx.one(models_user(), models.user.c.name == "bob").id)
        tx.update(Peer, models.peer.c.id == bob.id, shared_sealed="v1.k000000.AAAA")
    peers.revoke(app, "alice")
    found = settle(app, [node.id])[0]
    assert found.code == 9
    assert "bob/main" in found.error
    assert "vpnctl peer regen bob/main" in found.hint
    with app.store.read() as tx:
        alice = tx.one(Peer, models.peer.c.revoked_at.is_not(None))
    assert alice.identity not in node.fake.live_keys()
    assert alice.absent_at is not None


def models_user():
    from vpnctl.store.rows import User

    return User


# --- F4: removals do not wait for files ---


def test_a_peer_is_cut_though_the_upload_never_comes(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    settle(app, [node.id])
    peers.revoke(app, "alice")

    def stands_still():
        raise KeyboardInterrupt

    node.fake.before_file = stands_still
    with pytest.raises(KeyboardInterrupt):
        settle(app, [node.id])
    assert node.fake.live_keys() == set()


# --- F12 and I: input and machine ---


def test_deep_nesting_is_refused_at_once():
    with pytest.raises(InvalidInput, match="nested too deeply"):
        yamldoc.load("[" * 1_000_000, "x.yaml")


def test_counters_at_the_cap_of_many_peers_still_add_up(app, serve):
    node = serve()
    names = [f"u{number}" for number in range(20)]
    users.add(app, names, unlimited=True)
    peers.add(app, [Wanted(name) for name in names])
    settle(app, [node.id])
    for row in node.fake.people():
        row[3] = row[4] = str(2**63 - 1)
    settle(app, [node.id], ALL)
    with app.store.read() as tx:
        total = tx.execute(sa.select(sa.func.sum(models.peer.c.rx + models.peer.c.tx))).scalar()
    assert total < 2**63


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("admin_ids: [1, 2]", "admin_ids", (1, 2)),
        ("admin_ids: 7", "admin_ids", (7,)),
        ("approve_configs: true", "approve_configs", True),
        ("approve_configs: No", "approve_configs", False),
        ("extend_once: on", "extend_once", True),
    ],
)
def test_settings_are_read_as_people_write_yaml(tmp_path, line, name, value):
    path = tmp_path / "vpnctl.yaml"
    path.write_text(line + "\n")
    assert getattr(load(path, {"HOME": str(tmp_path)}), name) == value


def test_a_user_id_without_a_name_is_somebody(monkeypatch):
    import getpass

    from vpnctl.app import whoami

    def nobody():
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert whoami() == f"cli:uid {os.getuid()}"


def test_a_full_output_is_one_error_and_no_traceback(service, settings):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "VPNCTL_STATE_DIR": str(settings.state_dir), "VPNCTL_KEY_FILE": str(settings.key_file)}  # fmt: skip
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "vpnctl", "status"], stdout=full, stderr=subprocess.PIPE, text=True, env=env)  # fmt: skip
    assert done.returncode == 9
    assert done.stderr.splitlines()[0].startswith("error: cannot use the output")
    assert "Exception" not in done.stderr


def test_a_suggestion_is_made_once(cli):
    said = cli("node", "ad").err
    assert said.count("Did you mean") == 1


def test_a_program_leaves_no_core_file():
    code = "from vpnctl.cli.main import main; main(['--version']); import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert "(0, 0)" in subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


# --- J: copies ---


def test_a_copy_taken_while_the_database_is_in_use_is_whole_and_private(service, app, tmp_path):
    service("user", "add", "alice")
    with app.store.write() as tx:
        tx.set_meta("busy", "1")
        assert service("db", "copy", str(tmp_path / "copy.db")).code == 0
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    rows = sqlite3.connect(tmp_path / "copy.db").execute('SELECT name FROM "user"').fetchall()
    assert rows == [("alice",)]
    assert service("db", "copy", str(tmp_path / "copy.db")).code == 2, "nothing is overwritten"


# --- M: business figures ---


def test_a_payment_is_counted_once_in_the_currency_that_it_was_made_in(service, tmp_path):
    plans = tmp_path / "plans.yaml"
    plans.write_text(PLANS)
    service("inventory", "apply", str(plans), "--yes")
    service("user", "add", "alice", "bob")
    service("subscription", "grant", "alice", "--plan", "small", "--paid", "p1", "--currency", "XTR")
    service("subscription", "grant", "bob", "--plan", "large", "--paid", "p2")
    row = service("subscription", "stats", "--months", "1", "--json").json[0]
    assert (row["revenue"], row["unpriced"]) == ({"EUR": 999, "XTR": 250}, 0)
    shown = service("subscription", "stats", "--months", "1").out
    assert "9.99 EUR" in shown
    assert "250 XTR" in shown
    assert service("subscription", "grant", "bob", "--plan", "large", "--paid", "p3", "--currency", "USD").code == 2


@pytest.mark.parametrize(("amount", "code", "text"), [(499, "EUR", "4.99 EUR"), (250, "XTR", "250 XTR"), (1500, "KWD", "1.500 KWD"), (0, "JPY", "0 JPY")])  # fmt: skip
def test_minor_units_never_reach_a_person(amount, code, text):
    assert money.written(amount, code) == text


def test_a_bigger_plan_takes_effect_now_and_the_rest_of_the_old_one_follows(app, serve, clock):
    serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "small", paid=subscriptions.Paid("p1", "EUR"))
    subscriptions.extend(app, "alice", days=10)
    clock.forward(days=10)
    granted = subscriptions.grant(app, "alice", "large", paid="p2")
    assert granted.subscription.starts_at == clock()
    assert granted.kept.left == timedelta(days=20)
    with app.store.read() as tx:
        rows = sorted(tx.all(Subscription), key=lambda row: row.starts_at)
    spans = [(row.plan, (row.starts_at - clock()).days, (row.ends_at - clock()).days) for row in rows]
    assert spans == [("small", -10, 0), ("large", 0, 30), ("small", 30, 50), ("small", 50, 60)]
    assert [row.payment for row in rows] == ["p1", "p2", None, None], "nothing is paid twice"


def test_a_smaller_plan_waits_its_turn(app, serve, clock):
    serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    first = subscriptions.grant(app, "alice", "large")
    assert subscriptions.grant(app, "alice", "small").subscription.starts_at == first.subscription.ends_at


def test_a_reused_payment_hints_at_a_command_that_exists(service, tmp_path):
    plans = tmp_path / "plans.yaml"
    plans.write_text(PLANS)
    service("inventory", "apply", str(plans), "--yes")
    service("user", "add", "alice")
    service("subscription", "grant", "alice", "--plan", "large", "--paid", "p1")
    said = service("subscription", "grant", "alice", "--plan", "large", "--paid", "p1").err
    hint = said.split("hint: ")[1].strip()
    assert hint == "vpnctl subscription list --user alice"
    assert service(*hint.split()[1:]).code == 0


# --- M: bulk work finishes ---


def test_many_are_moved_though_some_cannot_be_and_a_rerun_finishes(service, fleet, tmp_path):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "ann", "bob", "cyd")
    for name in ("ann", "bob"):
        service("peer", "add", name, "--node", "fi")
    service("peer", "add", "cyd", "--node", "fi", "--public-key", ALIEN)
    fleet["de.example.org"].links["wg0"].peers[ALIEN] = ["(none)", "10.66.7.7/32", "0", "0", "0"]
    service("node", "sync")
    out = tmp_path / "files"
    run = service("user", "migrate", "--all", "--from", "fi", "--to", "de", "--out", str(out), "--yes")
    assert run.code == 5
    assert "cyd: that public key is or was in use" in run.err
    assert sorted(path.name for path in out.iterdir()) == ["ann.conf", "bob.conf"]
    again = service("user", "migrate", "--all", "--from", "fi", "--to", "de", "--out", str(out), "--yes", "--json")
    assert again.code == 5
    assert [each["user"] for each in again.json["left"]] == ["cyd"]
    (out / "bob.conf").unlink()
    service("user", "migrate", "--all", "--from", "fi", "--to", "de", "--out", str(out), "--yes")
    assert (out / "bob.conf").exists(), "a file that was lost on the way is written by the rerun"


def _fp():
    from tests.conftest import HOST_KEY
    from vpnctl.remote.ssh import fingerprint

    return fingerprint(HOST_KEY)


# --- M: a dry run tells what the real run does ---


def outcome(run):
    body = run.json
    nodes = body["nodes"] if isinstance(body, dict) else body
    return {(each["node"], change["kind"], change["subject"]) for each in nodes for change in each["changes"]}


def test_the_dry_run_of_pruning_names_the_peer_that_the_real_run_removes(service, fleet):
    fi = fleet["fi.example.org"]
    fi.links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]
    service("node", "sync")
    told = outcome(service("node", "sync", "--prune-aliens", "--dry-run", "--json"))
    assert ("fi", "stale peer", f"wg0 {ALIEN}") in told
    assert ALIEN in fi.all_keys()
    assert service("node", "sync", "--prune-aliens", "--yes").code == 0
    assert ALIEN not in fi.all_keys()


@pytest.mark.parametrize(
    "words",
    [
        ("peer", "add", "bob"),
        ("peer", "regen", "alice"),
        ("peer", "suspend", "alice"),
        ("peer", "revoke", "alice"),
        ("user", "block", "alice"),
        ("user", "remove", "alice"),
        ("node", "sync"),
        ("endpoint", "set", "fi", "wg0", "--port", "4444"),
    ],
    ids=" ".join,
)
def test_a_dry_run_changes_nothing_and_tells_whether_the_real_run_changes_the_node(service, fleet, words, settings):
    service("user", "add", "alice", "bob")
    service("peer", "add", "alice")
    fi = fleet["fi.example.org"]
    before = (dict(fi.files), fi.all_keys(), dump(settings))
    told = service(*words, "--dry-run", "--json")
    assert (dict(fi.files), fi.all_keys(), dump(settings)) == before
    files, keys = {path: data for path, data in fi.files.items() if "token" not in path}, fi.all_keys()
    service(*words, "--yes", "--json")
    after = {path: data for path, data in fi.files.items() if "token" not in path}
    assert bool(outcome(told)) == ((files, keys) != (after, fi.all_keys()))


def dump(settings):
    lines = sqlite3.connect(settings.sqlite_path).iterdump()
    return [line for line in lines if not line.startswith(('INSERT INTO "job_run"', 'INSERT INTO "endpoint"'))]


# --- M: export and apply are an identity ---

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)
texts = st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" "), max_size=20).map(str.strip)


@st.composite
def inventories(draw):
    nodes = [
        {
            "name": name, "host": f"root@{name.strip('-_').replace('_', '-')}.example.org:22", "host_key": HOST_KEY_LINE,
            "region": draw(texts), "capacity": draw(st.one_of(st.none(), st.integers(0, 1000))),
            "traffic_limit": draw(st.one_of(st.none(), st.integers(0, 10**15))),
            "rent_due": draw(st.one_of(st.none(), st.dates().map(str))),
            "endpoints": [{
                "protocol": "wireguard", "interface": f"wg{number}", "port": 50000 + number, "pool": f"10.{70 + number}.0.0/16",
                "pool_v6": draw(st.one_of(st.none(), st.just(f"fd00:{number + 1}::/64"))), "mtu": draw(st.integers(1280, 9000)),
                "dns": draw(st.sampled_from(["", "1.1.1.1", "1.1.1.1, 2606:4700:4700::1111"])),
                "keepalive": draw(st.integers(0, 65535)), "isolation": draw(st.booleans()),
                "allowed_ips": draw(st.sampled_from(["0.0.0.0/0, ::/0", "::/0"])),
                "forward_rule": draw(st.sampled_from(["none", "docker", "ufw", "iptables"])),
            } for number in range(draw(st.integers(0, 2)))],
        }
        for name in draw(st.lists(names, unique=True, max_size=3)) if name.strip("-_")
    ]  # fmt: skip
    people = [
        {
            "name": name, "display_name": draw(texts), "telegram_id": draw(st.one_of(st.none(), st.just(1000 + number))),
            "locale": draw(st.sampled_from(["en", "ru", "fa"])), "devices": draw(st.one_of(st.none(), st.integers(1, 1000))),
            "unlimited": draw(st.booleans()), "blocked": draw(st.booleans()), "note": draw(texts),
        }
        for number, name in enumerate(draw(st.lists(names, unique=True, max_size=3)))
    ]  # fmt: skip
    plans = [
        {
            "name": name, "title": draw(texts), "days": draw(st.integers(1, 3660)),
            "devices": draw(st.one_of(st.none(), st.integers(1, 1000))),
            "traffic": draw(st.one_of(st.none(), st.integers(0, 10**15))), "locations": draw(st.lists(texts.filter(bool), max_size=2)),
            "prices": draw(st.dictionaries(st.sampled_from(["EUR", "XTR", "KWD"]), st.integers(0, 10**12))),
            "trial": number == 0 and draw(st.booleans()), "on_sale": draw(st.booleans()),
        }
        for number, name in enumerate(draw(st.lists(names, unique=True, max_size=3)))
    ]  # fmt: skip
    return {"nodes": nodes, "users": people, "plans": plans}


HOST_KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbeUjQt/bDeAK6smLQiZsG7ODkwca1KgBwY8xy0jyuj"


@settings(deadline=None, max_examples=40)
@given(body=inventories())
def test_what_is_exported_and_applied_is_the_same_again(tmp_path_factory, body):
    import yaml

    from vpnctl.actions.service import state

    def fresh():
        home = tmp_path_factory.mktemp("i")
        settings = load(
            None, {"HOME": str(home), "VPNCTL_STATE_DIR": str(home / "s"), "VPNCTL_KEY_FILE": str(home / "k")}
        )
        state.init(settings, "cli:test")
        return open_app(settings, "cli:test")

    given_ = {
        kind: [{key: value for key, value in each.items() if value is not None} for each in rows]
        for kind, rows in body.items()
    }
    one, two = fresh(), fresh()
    try:
        inventory.apply(one, *parse(yaml.safe_dump(given_, allow_unicode=True), "first"))
        out = export(one, users=True)
        assert inventory.apply(one, *parse(out, "same")).lines == (), "on the same database nothing is left to change"
        inventory.apply(two, *parse(out, "second"))
        assert export(two, users=True) == out
    finally:
        one.store.close()
        two.store.close()


# --- M: the service knows itself ---


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}


def test_a_service_whose_jobs_never_ran_says_so_first(service):
    said = service("status")
    assert "never run here" in said.out
    assert "all is well" not in said.out
    assert service("status", "--fail").code == 3


def test_a_service_whose_jobs_stopped_says_since_when(app, serve, clock):
    from vpnctl import jobs

    serve()
    for name in selfcheck.ESSENTIAL:
        jobs.run(app, name)
    assert "jobs" not in found(app)
    clock.forward(hours=2)
    assert "not run lately" in found(app)["jobs"]


def test_the_pace_of_essential_jobs_is_the_one_of_their_timers():
    from vpnctl import jobs

    assert {name: jobs.module(name).TIMER.every for name in selfcheck.ESSENTIAL} == selfcheck.ESSENTIAL


def test_timers_that_are_off_are_named_with_the_command(app, serve, tmp_path, monkeypatch):
    serve()
    (tmp_path / "vpnctl-expire.timer").write_text("")
    (tmp_path / "vpnctl-sync.timer").write_text("")
    monkeypatch.setattr(selfcheck, "SYSTEMD", tmp_path)
    monkeypatch.setattr(selfcheck, "UNITS", tmp_path)
    states = {"vpnctl-expire.timer": {"ActiveState": "inactive"}, "vpnctl-sync.timer": {"ActiveState": "active"}}
    monkeypatch.setattr(selfcheck, "unit_states", lambda _units: states)
    attention = next(each for each in selfcheck.findings(app) if each.subject == "timers")
    assert "off: expire" in attention.what
    assert attention.command == "systemctl enable --now vpnctl-expire.timer"


@pytest.mark.parametrize(("state", "word"), [({"ActiveState": "inactive", "SubState": "dead"}, "does not run"), ({"ActiveState": "activating", "SubState": "auto-restart"}, "keeps restarting")])  # fmt: skip
def test_a_bot_that_does_not_stay_up_is_named(app, serve, tmp_path, monkeypatch, state, word):
    serve()
    (tmp_path / "vpnctl-bot.service").write_text("")
    monkeypatch.setattr(selfcheck, "SYSTEMD", tmp_path)
    monkeypatch.setattr(selfcheck, "UNITS", tmp_path)
    monkeypatch.setattr(selfcheck, "unit_states", lambda units: dict.fromkeys(units, state))
    assert word in found(app)["bot"]


def test_an_unconfirmed_recovery_key_a_full_disk_and_a_jumped_clock_are_named(app, serve, clock, monkeypatch):
    from vpnctl import jobs

    serve()
    jobs.run(app, "sync")
    monkeypatch.setattr(selfcheck, "LEAST_FREE", 2**62)
    clock.jump(days=3)
    said = found(app)
    assert {"recovery key", "disk", "clock"} <= set(said)


def test_a_name_that_does_not_resolve_or_leads_elsewhere_is_named(app, serve, monkeypatch):
    node = serve()
    monkeypatch.setattr(selfcheck, "_resolve", lambda _name: set())
    assert "does not resolve" in found(app)["fi"]
    with app.store.write() as tx:
        tx.update(Node, models.node.c.id == node.id, host="8.8.8.8")
    monkeypatch.setattr(selfcheck, "_resolve", lambda _name: {"9.9.9.9"})
    assert "leads to 9.9.9.9, not to 8.8.8.8" in found(app)["fi"]


def test_files_from_before_a_change_of_port_stay_named_until_they_are_handed_out_again(service, clock):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    clock.forward(minutes=1)
    service("endpoint", "set", "fi", "wg0", "--port", "4444", "--yes")
    service("node", "sync")
    assert "devices with files from before a change: 1" in service("status").out
    assert [row["user"] for row in service("peer", "list", "--stale", "--json").json] == ["alice"]
    clock.forward(minutes=1)
    service("peer", "config", "alice")
    assert "from before a change" not in service("status").out


# --- M: details ---


def test_the_traffic_limit_of_a_new_node_is_kept(service):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--traffic-limit", "20 TB")
    assert service("node", "show", "de", "--json").json["traffic_limit"] == 20 * 10**12


def test_the_living_node_is_shown_and_not_a_retired_namesake(service):
    service("node", "retire", "fi", "--yes")
    service("node", "add", "fi", "root@new.example.org", "--host-key-fp", _fp(), "--provision")
    assert "new.example.org" in service("node", "show", "fi").out
    assert service("node", "show", "fi", "--json").json["state"] != "retired"


def test_a_preview_names_people_and_not_their_keys(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fi = fleet["fi.example.org"]
    key = service("peer", "show", "alice", "--json").json["public_key"]
    del fi.links["wg0"].peers[key]
    said = service("node", "check").out
    assert "missing peer wg0 alice/main" in said
    assert key not in said


def test_lists_say_of_when_their_figures_are(service):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    assert "as of 2027-01-15" in service("peer", "list").err


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_table_on_a_terminal_breaks_no_word_and_names_what_it_left_out(width, monkeypatch, capsys, app, serve):
    import io

    from vpnctl import reports
    from vpnctl.cli import output
    from vpnctl.cli.front import Front
    from vpnctl.cli.nodes import COLUMNS

    serve("a-node-with-a-rather-long-name")
    with app.store.read() as tx:
        rows = reports.nodes(tx, app.clock())

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    output.show_list(Front(_settings=app.settings), rows, COLUMNS)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= width
    assert any("a-node-with-a-rather-long-name" in line for line in lines)
    assert "--wide shows all" in capsys.readouterr().err


def test_tokens_of_nobody_are_never_shown(service, fleet):
    fleet["fi.example.org"].files["/var/lib/vpnctl/token"] = ("600", b"\x1b[31mhello world\n")
    run = service("node", "sync")
    assert run.code == 7
    assert "hello" not in run.err


def test_sizes_are_read_as_they_are_exported():
    assert grammar.size("107374182400") == 107374182400


def test_an_empty_schema_version_is_no_bug(settings, app):
    app.store.close()
    with sqlite3.connect(settings.sqlite_path) as raw:
        raw.execute("DELETE FROM alembic_version")
    from vpnctl.store.upgrade import upgrade

    with pytest.raises(StateTrouble, match="which schema"):
        upgrade(settings.database_url)


# --- what an attack on the mended version found ---


def test_a_node_that_went_back_in_time_gets_a_fresh_token_though_nothing_else_is_to_be_done(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    settle(app, [node.id])
    before = node.fake.files["/var/lib/vpnctl/token"]
    old = copied(app)
    peers.revoke(app, "alice")
    settle(app, [node.id])
    node.fake.files["/var/lib/vpnctl/token"] = before
    assert settle(app, [node.id], ALL)[0].code == 0
    peers.resume(old, "alice")
    assert settle(old, [node.id])[0].code == 7
    assert node.fake.live_keys() == set()


def test_time_cuts_nobody_while_the_interface_is_down_either(app, serve, clock):
    node = serve()
    names = [f"u{number}" for number in range(30)]
    users.add(app, names, unlimited=True)
    peers.add(app, [Wanted(name) for name in names])
    with app.store.write() as tx:
        tx.update(Peer, expires_at=clock() + timedelta(days=30))
    settle(app, [node.id])
    clock.forward(days=31)
    node.fake.links.clear()
    assert settle(app, [node.id], ALL)[0].code == 6
    assert len(node.fake.live_keys()) == 30


def test_a_peer_that_this_database_never_knew_keeps_its_preshared_key(app, serve):
    """A restored backup: carol was added by what is lost; she stands in our file on the node."""
    node = serve()
    old = copied(app)
    users.add(app, ["carol"])
    carol = peers.add(app, [Wanted("carol")])[0]
    settle(app, [node.id])
    from vpnctl.actions.fleet.nodes import _adopt_token

    with old.store.read() as tx:
        row = tx.one(Node)
    _adopt_token(old, row, node.fake.token)
    assert settle(old, [node.id], ALL)[0].code == 0
    assert node.fake.links["wg0"].peers[carol.peer.identity][0] == carol.shared.reveal()
    assert carol.shared.reveal() in node.fake.files["/etc/wireguard/wg0.conf"][1].decode()


def test_whoever_pays_during_a_trial_with_something_granted_behind_it_has_no_gap(app, serve, clock):
    serve()
    text = PLANS + "  - {name: trial, days: 7, trial: true}\n"
    inventory.apply(app, *parse(text, "plans"))
    users.add(app, ["alice"])
    from vpnctl.actions.sales import trials

    trials.start(app, "alice")
    clock.forward(days=1)
    subscriptions.grant(app, "alice", "small")
    subscriptions.grant(app, "alice", "small", paid=subscriptions.Paid("p1", "EUR"))
    with app.store.read() as tx:
        rows = sorted(tx.all(Subscription), key=lambda row: row.starts_at)
    assert [((row.starts_at - clock()).days, (row.ends_at - clock()).days) for row in rows] == [
        (-1, 0),
        (0, 30),
        (30, 60),
    ]


def test_what_is_extended_after_an_upgrade_is_the_plan_that_runs(app, serve):
    serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "small")
    subscriptions.grant(app, "alice", "large")
    assert subscriptions.extend(app, "alice").subscription.plan == "large"


def test_a_few_lines_of_a_lying_node_do_not_keep_us_for_hours():
    import time

    from vpnctl.rules import firewall

    lines = ["table ip filter"]
    for number in range(40):
        lines += [f"chain c{number}", *[f"jump c{number + 1}"] * 3]
    lines += ["chain FORWARD", "type filter hook forward priority 0; policy drop;", "jump c0"]
    began = time.monotonic()
    firewall.judge(firewall.parse(lines), firewall.Listener("wg0", 51820, "udp"), ("eth0",), [4])
    assert time.monotonic() - began < 30, "walked once each, this takes milliseconds"


@pytest.mark.parametrize("line", ["fact\tos", "token\ta\tb\tc", "net\tx", "path\twg0", "way", "stale", "nft\ta\tb"])
def test_a_record_with_other_fields_is_a_malformed_answer_of_that_node(app, serve, line):
    node = serve()
    node.fake.answer = lambda out: line.encode() + b"\n" + out
    found = settle(app, [node.id], ALL)[0]
    assert (found.code, "makes no sense" in found.error) == (3, True)


def test_an_odd_interface_name_makes_no_node_unmanageable(app, serve):
    node = serve()
    node.fake.networks.append(("wan#1", "192.0.2.1/24"))
    assert settle(app, [node.id], ALL)[0].code == 0


def test_a_reason_that_holds_a_broken_up_key_is_not_shown(app, serve):
    node = serve()
    users.add(app, ["alice"])
    issued = peers.add(app, [Wanted("alice")])[0]
    psk = issued.shared.reveal()
    node.fake.answer = lambda out: out.replace(b"applied", f"failed\tsync\twg0\tbad {psk[:20]} {psk[20:]}".encode())
    found = settle(app, [node.id])[0]
    assert psk[:12] not in found.error
    assert psk[20:32] not in found.error
    assert "is not shown" in found.error


def test_a_config_that_was_cut_off_while_it_was_written_is_not_there(tmp_path, monkeypatch):
    from vpnctl.store import vault

    def cut(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(vault.os, "link", cut)
    with pytest.raises(KeyboardInterrupt):
        vault.write_private(tmp_path / "bob.conf", "text", durable=False)
    assert list(tmp_path.iterdir()) == []


def test_what_older_versions_noted_of_keys_is_purged_whole_or_cut(app):
    import importlib

    purge = importlib.import_module("vpnctl.store.migrations.versions.0004_field")
    psk, name = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=", "averyveryveryverylongusername1"
    with app.store.write() as tx:
        row = {"at": START, "recorded_at": START, "actor": "x", "verb": "node.unsettled", "subject_kind": "node", "subject_id": "x", "subject": "x", "run_id": "x"}  # fmt: skip
        told = [f"fi: the answer makes no sense; it said: {psk}\t(none)", f"fi: failed: {psk[:43]}", f"fi: {psk}", name]
        tx.execute(sa.insert(models.event), [{**row, "after": {"error": text}} for text in told])
        for table in ("peer", "alien", "endpoint"):  # as it was called in that schema
            tx.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN identity TO public_key"))
        purge._purge(tx.connection)
        kept = tx.execute(sa.select(models.event.c.after).where(models.event.c.run_id == "x")).scalars().all()
    assert not any(psk[:20] in str(each) for each in kept)
    assert kept[3] == {"error": name}


def test_known_people_are_served_before_strangers(app):
    from vpnctl.actions.talk import updates

    users.add(app, ["ivan"], telegram_id=7)
    updates.receive(app, [(number, 1000 + number, {}) for number in range(50)])
    updates.receive(app, [(100, 7, {})])
    assert updates.take(app, ()).chat_id == 7


def test_a_group_that_became_a_supergroup_is_followed():
    from vpnctl.remote.telegram import Fate, judge
    from vpnctl.rules.secret import Secret

    answer = {"ok": False, "error_code": 400, "description": "Bad Request: group chat was upgraded", "parameters": {"migrate_to_chat_id": -1001234567890}}  # fmt: skip
    found = judge(400, answer, Secret("1:x"))
    assert (found.fate, found.chat) == (Fate.MOVED, -1001234567890)


def test_a_read_only_disk_can_still_be_read_and_writing_says_why(service, settings):
    import shutil as sh

    if os.geteuid() != 0 or not sh.which("unshare"):
        from tests.conftest import cannot

        cannot("read-only disk", "it needs root and unshare")
    service("user", "add", "alice")
    folder = settings.state_dir
    script = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && {sys.executable} -m vpnctl "
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "VPNCTL_STATE_DIR": str(folder), "VPNCTL_KEY_FILE": str(settings.key_file)}  # fmt: skip

    def run(*words):
        return subprocess.run(["unshare", "-m", "sh", "-c", script + " ".join(words)], capture_output=True, text=True, env=env)  # fmt: skip

    assert "alice" in run("user", "list").stdout
    assert run("status").returncode == 0
    said = run("user", "add", "bob")
    assert said.returncode == 9
    assert "read-only" in said.stderr
