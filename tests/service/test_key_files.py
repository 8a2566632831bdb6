"""The key file: checked before anything is sealed; a value that does not open costs that row."""

from __future__ import annotations

from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.service import selfcheck
from vpnctl.store import models
from vpnctl.store.rows import Peer


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


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}


def test_status_names_a_key_file_that_is_not_this_databases(service, settings, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    assert "nothing can be changed" not in service("status").out
    settings.key_file.rename(tmp_path / "old.key")
    from vpnctl.store import vault

    vault.create(settings.key_file)
    said = service("status").out
    assert "key file: nothing can be changed" in said
