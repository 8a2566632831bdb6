"""Secrets at rest."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from vpnctl.actions.people import link_address, peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.service import state
from vpnctl.errors import Busy, InvalidInput, StateTrouble
from vpnctl.rules.secret import Secret
from vpnctl.store import models, recovery, vault
from vpnctl.store.rows import Peer
from vpnctl.store.vault import NIL, Vault


@pytest.fixture
def keys(tmp_path):
    return vault.create(tmp_path / "keys/vault.key")


def test_a_sealed_value_opens_only_as_what_it_is(keys):
    row, other = str(uuid.uuid4()), str(uuid.uuid4())
    sealed = keys.seal("peer.psk", row, Secret("hunter2"))
    assert keys.open("peer.psk", row, sealed) == Secret("hunter2")
    assert "hunter2" not in sealed
    for label, row_id, text in (
        ("peer.psk", other, sealed),
        ("peer.secret", row, sealed),
        ("peer.psk", row, sealed[:-6] + "AAAAA="),
    ):
        with pytest.raises(StateTrouble):
            keys.open(label, row_id, text)


@pytest.mark.parametrize("text", ["", "v1", "v2.k.AAAA", "v1.nokey.AAAA", "garbage"])
def test_a_damaged_value_is_an_error_not_a_crash(keys, text):
    with pytest.raises(StateTrouble):
        keys.open("peer.psk", NIL, text)


def test_a_key_file_that_others_can_read_is_refused(keys, tmp_path):
    path = tmp_path / "keys/vault.key"
    path.chmod(0o644)
    with pytest.raises(StateTrouble) as caught:
        Vault(path).key_ids()
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("text", ["", "# nothing\n", "k1 c2hvcnQ=\n", "k1\n", "\x00\xff"])
def test_a_damaged_key_file_is_named(tmp_path, text):
    path = tmp_path / "vault.key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(StateTrouble, match="damaged"):
        Vault(path).key_ids()


def test_no_secret_is_in_the_database_file(app, serve):
    serve()
    users.add(app, ["alice"])
    issued = peers.add(app, [Wanted("alice")])[0]
    content = b"".join(path.read_bytes() for path in app.settings.state_dir.glob("vpnctl.db*"))
    assert issued.peer.identity.encode() in content
    for secret in (issued.secret, issued.shared, app.vault.file_text()):
        for line in secret.reveal().splitlines():
            if not line.startswith("#"):
                assert line.split()[-1].encode() not in content


def test_a_revoked_peer_leaves_its_public_key_and_no_secret(app, serve):
    serve()
    users.add(app, ["alice"])
    issued = peers.add(app, [Wanted("alice")])[0]
    peers.revoke(app, "alice")
    with app.store.read() as tx:
        row = tx.one(Peer, models.peer.c.id == issued.peer.id)
    assert (row.identity, row.secret_sealed, row.shared_sealed) == (issued.peer.identity, None, None)


def rotate(app):
    app.store.close()
    return state.rotate(app.settings, "cli:test", lambda _at, _total: None)


def opened(app):
    from vpnctl.app import open_app

    return open_app(app.settings, "cli:test")


def test_a_rotation_reseals_everything_and_the_recovery_key_opens_the_new_keys(app, serve, settings):
    serve()
    users.add(app, ["alice"])
    issued = peers.add(app, [Wanted("alice")])[0]
    key = state.new_recovery(app)
    before = Vault(settings.key_file).current
    assert rotate(app) == 5
    again = opened(app)
    assert before not in again.vault.key_ids()
    assert peers.reveal(again, "alice").secret == issued.secret
    settings.key_file.unlink()
    again.store.close()
    state.recover_vault(settings, key)
    assert peers.reveal(opened(app), "alice").secret == issued.secret


def test_a_persons_link_outlives_a_rotation(app):
    on_the_web = replace(app, settings=replace(app.settings, web_url="https://vpn.example.org"))
    users.add(app, ["alice"])
    before = link_address.address(on_the_web, "alice").url
    rotate(app)
    again = replace(opened(app), settings=on_the_web.settings)
    assert link_address.address(again, "alice").url == before


def test_a_rotation_killed_at_any_border_goes_on_when_it_is_run_again(app, serve, monkeypatch):
    serve()
    users.add(app, [f"u{number}" for number in range(7)])
    issued = peers.add(app, [Wanted(f"u{number}") for number in range(7)])
    app.store.close()
    monkeypatch.setattr(state, "BATCH", 3)

    class Killed(BaseException):
        pass

    from vpnctl.store.engine import Store

    real = Store.write
    for point in range(1, 30):
        count = 0

        def write(self, point=point):
            nonlocal count
            count += 1
            if count == point:
                raise Killed
            return real(self)

        monkeypatch.setattr(Store, "write", write)
        killed = False
        try:
            rotate(app)
        except Killed:
            killed = True
        monkeypatch.setattr(Store, "write", real)
        again = opened(app)
        for each in issued:
            assert peers.reveal(again, each.user.name).secret == each.secret
        again.store.close()
        if not killed:
            break
    assert point > 5
    assert len(opened(app).vault.key_ids()) == 1


def test_a_rotation_does_not_start_while_somebody_works(app):
    with pytest.raises(Busy):
        state.rotate(app.settings, "cli:test", lambda _at, _total: None)


def test_the_recovery_key_survives_sloppy_typing_and_no_other_key_works():
    public, key = recovery.create()
    sealed = recovery.seal(public, Secret("the keys"))
    typed = Secret("  " + key.reveal().upper().replace("-", " ").replace("VPNCTL RECOVERY ", "vpnctl-recovery-") + "\n")
    assert recovery.unseal(typed, sealed) == Secret("the keys")
    with pytest.raises(StateTrouble):
        recovery.unseal(recovery.create()[1], sealed)
    with pytest.raises(InvalidInput):
        recovery.unseal(Secret("nonsense"), sealed)


def test_a_database_without_its_key_file_is_not_hidden_by_a_new_one(app, settings):
    settings.key_file.unlink()
    with pytest.raises(StateTrouble, match="not its key file"):
        state.init(settings, "cli:test")
    assert not settings.key_file.exists()
