"""A panel of which nothing but HTTPS is reached: its certificate is pinned, and a lease in the database guards it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import timedelta

import pytest

from tests.support import panel as panels
from tests.support.panel import GENERATIONS, NEW, Panel
from vpnctl.actions.fleet import lease
from vpnctl.app import open_app
from vpnctl.errors import InvalidInput
from vpnctl.remote.panel import https
from vpnctl.remote.shell import Login
from vpnctl.store import find, models
from vpnctl.store.rows import Node


@pytest.fixture
def panel(request):
    found = Panel(getattr(request, "param", NEW))
    found.add(3, 8443)
    found.put(3, "guest@there")
    return found


@pytest.fixture
def door(panel, tmp_path):
    with panels.serving(panel, tmp_path) as found:
        yield found


@pytest.fixture
def ask(cli, door, panel):
    """Add the panel; the means depend on its generation."""
    assert cli("init", "--yes").code == 0
    cli("user", "add", "alice")

    def run(*more, name="h"):
        url = f"https://127.0.0.1:{door[0]}/abc/"
        if panel.csrf:
            return cli("node", "panel", name, url, "--token-stdin", *more, stdin=panel.token)
        return cli("node", "panel", name, url, "--username", "admin", "--password-stdin", *more, stdin="s3cret")

    return run


@pytest.fixture
def served(ask, door, cli, fleet):
    said = ask("--certificate-fp", door[1])
    assert said.code == 0, said.err
    fleet["127.0.0.1"].listening = {8443}
    assert cli("node", "provision", "h").code == 0
    return cli


def clients(panel):
    return [email for email, each in panel.clients(3).items() if email.startswith("p-") and each["enable"]]


@pytest.mark.parametrize("panel", GENERATIONS, indirect=True)
def test_the_whole_way(served, panel):
    assert served("peer", "add", "alice").code == 0
    assert len(clients(panel)) == 1
    assert served("peer", "suspend", "alice", "--yes").code == 0
    assert clients(panel) == []
    assert served("peer", "resume", "alice").code == 0
    assert len(clients(panel)) == 1
    assert served("peer", "revoke", "alice", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]
    assert served("node", "check", "h").code == 0
    assert "https://127.0.0.1" in served("node", "list").out


def test_a_certificate_that_nobody_vouches_for_is_shown_and_nothing_is_sent(ask, door, panel):
    said = ask()
    assert said.code == 7
    assert door[1] in said.err
    assert panel.asked == []


def test_another_certificate_than_the_pinned_one_ends_it(served, door, panel, cli):
    told = f"SHA256:{'0' * 64}"
    assert cli("node", "panel", "h", "--certificate-fp", told).code == 7
    assert cli("node", "check", "h").code == 0, "what was pinned before stays"


def test_a_new_node_needs_tls(cli, panel):
    assert cli("init", "--yes").code == 0
    said = cli("node", "panel", "h", "http://127.0.0.1:1/abc", "--token-stdin", stdin="x")
    assert said.code == 5
    assert "https://HOST" in said.err


@pytest.mark.parametrize(
    "url", ["https://u:p@h.example/x", "https://h.example/x?y", "ftp://h.example", "https://h.example/a b", "nonsense"]
)
def test_an_address_has_one_form(served, cli, url):
    assert cli("node", "panel", "h", url).code == 2


def test_what_needs_a_shell_says_that_there_is_none(settings, app):
    with pytest.raises(InvalidInput, match="its panel alone"):
        open_app(settings, "cli:test").connect(Login("h", "https", "h.example.org", 443, "", ""))


def test_nobody_settles_a_node_that_another_one_has_on_loan(served, app, cli, monkeypatch, clock):
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    with app.store.write() as tx:
        row = find.node(tx, "h")
        later = clock() + timedelta(minutes=3)
        tx.update(Node, models.node.c.id == row.id, leased_until=later, leased_by="another")
    said = cli("peer", "add", "alice")
    assert said.code == 3
    assert "another vpnctl is at work" in said.err
    clock.forward(minutes=4)
    assert cli("node", "sync", "h").code == 0, "whoever died holding it delays nobody for ever"


def test_nothing_is_sent_after_the_lease_is_over(served, app, panel, clock, cli):
    assert cli("peer", "add", "alice").code == 0
    asked = panel.handle

    def slow(method, path, *rest):
        clock.forward(minutes=11)
        return asked(method, path, *rest)

    panel.handle = slow
    before = len(panel.asked)
    said = cli("peer", "revoke", "alice", "--yes")
    assert said.code == 3
    assert [each for each in panel.asked[before:] if each.startswith("POST")] == []
    panel.handle = asked
    assert cli("node", "sync", "h").code == 0
    assert clients(panel) == []


def test_a_panel_that_does_not_answer_is_given_up(served, cli, panel, monkeypatch):
    monkeypatch.setattr(https, "SECONDS", 0.5)
    panel.mood = "slow"
    monkeypatch.setattr(panels.time, "sleep", lambda _seconds: __import__("threading").Event().wait(2))
    said = cli("node", "check", "h")
    assert said.code == 10
    assert "the panel does not answer" in said.err


def test_retiring_it_contacts_no_shell(served, cli, panel, app):
    cli("peer", "add", "alice")
    assert cli("node", "retire", "h", "--revoke-peers", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]


def test_the_secret_is_kept_sealed(served, settings, panel):
    with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as base:
        kept = base.execute("select panel_secret_sealed from node").fetchone()[0]
    assert kept.startswith("v1.")
    assert panel.token not in kept


def test_an_answer_that_comes_one_byte_at_a_time_has_an_end(served, cli, panel, monkeypatch):
    monkeypatch.setattr(https, "SECONDS", 0.4)
    monkeypatch.setattr(panels, "DRIP", 0.1)
    began = time.monotonic()
    said = cli("node", "check", "h")
    assert said.code == 10
    assert time.monotonic() - began < 20, "the answer would have taken minutes"


def test_the_address_of_a_panel_is_no_login(served, cli):
    said = cli("node", "set", "h", "--target", "root@h.example.org")
    assert (said.code, "vpnctl node panel h" in said.err) == (2, True)


def test_after_a_restore_nobody_comes_back_on_a_panel_that_cannot_tell_before_it_is_decided(
    served, panel, settings, tmp_path
):
    served("peer", "add", "alice")
    key = served("--yes", "vault", "renew-recovery", "--show").out
    served("backup", "create", "--out", str(tmp_path / "kept"))
    served("peer", "revoke", "alice")
    for path in [*settings.state_dir.glob("vpnctl.db*"), settings.key_file]:
        path.unlink()
    config = ("--yes", "--config", str(tmp_path / "vpnctl.yaml"))
    served(*config, "backup", "restore", str(next((tmp_path / "kept").iterdir())), stdin=key)
    assert served("node", "sync", "h").code == 7
    asked = served("backup", "finish")
    assert (asked.code, "alice/main is in the backup and not there" in asked.err) == (6, True)
    assert clients(panel) == []
    assert served("--yes", "backup", "finish", "--missing", "revoke").code == 0
    assert served("node", "sync", "h").code == 0
    assert clients(panel) == []
