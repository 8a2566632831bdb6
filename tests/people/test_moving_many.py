"""Many are moved though some cannot be."""

from __future__ import annotations

ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


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
