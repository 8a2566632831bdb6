"""A word about a device on its way, and people who are moved or were not."""

from __future__ import annotations

import pytest

from tests.conftest import _fp


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


@pytest.fixture
def moving(service, fleet):
    """Bob on his way from fi to de: two live peers of one device."""
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "bob")
    service("peer", "add", "bob", "--node", "fi")
    service("user", "migrate", "bob", "--to", "de")
    fi, de = fleet["fi.example.org"], fleet["de.example.org"]
    assert (len(fi.live_keys()), len(de.live_keys())) == (1, 1)
    return fi, de


@pytest.mark.parametrize("verb", ["suspend", "revoke"])
def test_a_word_about_a_device_on_its_way_means_both_of_its_peers(service, moving, verb):
    assert service("peer", verb, "bob/main").code == 0
    assert [node.live_keys() for node in moving] == [set(), set()]
    if verb == "suspend":
        assert service("peer", "resume", "bob/main").code == 0
        assert [len(node.live_keys()) for node in moving] == [1, 1]


def test_a_node_picks_one_of_the_two(service, moving):
    assert service("peer", "suspend", "bob/main@fi").code == 0
    assert [len(node.live_keys()) for node in moving] == [0, 1]


def test_new_keys_end_the_leaked_file_on_the_old_node_too(service, moving):
    before = moving[1].live_keys()
    assert service("peer", "regen", "bob/main").code == 0
    assert moving[0].live_keys() == set()
    assert len(moving[1].live_keys()) == 1
    assert moving[1].live_keys() != before


def test_a_block_during_a_move_is_undone_by_unblock(service, moving):
    before = [node.live_keys() for node in moving]
    service("user", "block", "bob")
    assert [node.live_keys() for node in moving] == [set(), set()]
    service("user", "unblock", "bob")
    assert [node.live_keys() for node in moving] == before


def test_everybody_on_a_node_is_moved_with_one_command(service, fleet, tmp_path):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "ann", "bob", "cyd")
    service("peer", "add", "ann", "bob", "cyd/phone", "cyd/laptop", "--node", "fi")
    assert service("user", "migrate", "--all", "--from", "fi", "--to", "de").code == 6
    run = service("user", "migrate", "--all", "--from", "fi", "--to", "de", "--out", str(tmp_path / "files"), "--yes")
    assert run.code == 0
    assert len(list((tmp_path / "files").iterdir())) == 4
    assert service("node", "retire", "fi", "--destroyed", "--yes").code == 0, "everybody has a delivered successor"
    assert service("user", "migrate", "ann", "bob", "--to", "de").code == 0
    assert service("user", "migrate", "--all", "--to", "de").code == 2
    assert service("user", "migrate", "--to", "de").code == 2


def test_a_node_with_people_who_were_not_moved_is_not_retired_by_mistake(service, moving):
    service("user", "add", "carol")
    service("peer", "add", "carol", "--node", "fi")
    run = service("node", "retire", "fi", "--destroyed", "--yes")
    assert (run.code, "devices live on fi wg0: carol/main" in run.err) == (5, True)
    assert "--all --from fi" in run.err
