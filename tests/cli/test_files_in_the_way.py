"""What is in the way of a file, or does not fit a code, is found before anything is changed."""

from __future__ import annotations

import pytest


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def test_files_in_the_way_are_found_before_anything_is_changed(service, tmp_path, fi):
    service("user", "add", "alice")
    assert service("peer", "add", "alice", "--out", str(tmp_path)).code == 0
    live = fi.live_keys()
    run = service("peer", "regen", "alice", "--out", str(tmp_path))
    assert (run.code, fi.live_keys()) == (2, live)
    link = tmp_path / "dangling"
    link.symlink_to(tmp_path / "nowhere")
    assert service("peer", "regen", "alice", "--out", str(link)).code == 2
    assert service("peer", "regen", "alice", "--out", "/tmp/x1", "--png", "/tmp/x1").code == 2
    run = service("peer", "add", "alice/a", "alice/b", "--png", str(tmp_path / "x.png"))
    assert (run.code, fi.live_keys()) == (2, live)
    (tmp_path / "file").write_text("")
    assert service("user", "migrate", "alice", "--to", "fi", "--out", str(tmp_path / "file")).code == 2


def test_a_config_that_is_too_large_for_a_qr_code_says_so(service):
    many = ",".join(f"10.{number}.{part}.0/24" for number in range(16) for part in range(16))
    service("endpoint", "set", "fi", "wg0", "--allowed-ips", many)
    service("user", "add", "alice")
    service("peer", "add", "alice")
    run = service("peer", "config", "alice", "--qr")
    assert run.code == 2
    assert "--out FILE" in run.err
