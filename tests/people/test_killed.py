"""Long commands killed at every border of what lasts, and run again: they end as if nothing had happened."""

from __future__ import annotations

import copy
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import _fp
from tests.fakenode import FakeShell
from vpnctl.remote import names
from vpnctl.store.engine import Store

CASES = Path(__file__).parents[1] / "cases/foreign"
MOST = 400


class Killed(BaseException):
    """The process is gone."""


class World:
    """All that lasts: the state's folder, the key file's, the servers. It can be put back to what it was."""

    def __init__(self, settings, fleet, monkeypatch):
        self.folders, self.fleet = (settings.state_dir, settings.key_file.parent), fleet
        self.left = 0
        """How many borders are passed before the kill; negative: none comes."""
        real_write, real_run = Store.write, FakeShell.run

        @contextmanager
        def write(store):
            with real_write(store) as tx:
                yield tx
                self.border()
            self.border()

        def run(shell, *args, **more):
            self.border()
            found = real_run(shell, *args, **more)
            self.border()
            return found

        monkeypatch.setattr(Store, "write", write)
        monkeypatch.setattr(FakeShell, "run", run)

    def border(self):
        self.left -= 1
        if self.left == 0:
            raise Killed

    def keep(self):
        for folder in self.folders:
            shutil.rmtree(f"{folder}.kept", ignore_errors=True)
            shutil.copytree(folder, f"{folder}.kept")
        self.nodes = copy.deepcopy(self.fleet.nodes)

    def put_back(self):
        for folder in self.folders:
            shutil.rmtree(folder)
            shutil.copytree(f"{folder}.kept", folder)
        self.fleet.nodes = copy.deepcopy(self.nodes)


@pytest.fixture
def world(service, settings, fleet, monkeypatch):
    return World(settings, fleet, monkeypatch)


def killed_everywhere(world, run, command, check):
    """Kill it at the first border, at the second, … and each time run it again and check, until it ends by itself."""
    world.keep()
    for point in range(1, MOST):
        world.put_back()
        world.left = point
        try:
            done = command()
        except Killed:
            world.left = 0
            done = command()
            assert done.code == 0, (point, done)
            check()
        else:
            assert done.code == 0, done
            assert point > 10, "it has that many borders at least"
            return
    raise AssertionError("it does not come to an end")


def devices(run, node):
    """USER/DEVICE -> states of the peers on a node."""
    found = {}
    for row in run("peer", "list", "--node", node, "--json").json:
        found.setdefault(f"{row['user']}/{row['device']}", []).append(row["state"])
    return found


def agrees(run, *nodes):
    for node in nodes:
        assert '"changes": []' in run("node", "sync", node, "--dry-run", "--json").out


@pytest.fixture
def lived_in(service, world):
    for name in ("alice", "bob"):
        service("user", "add", name)
        assert service("peer", "add", f"{name}/phone", "--node", "fi").code == 0
    added = service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    assert added.code == 0, added.err
    return service


def test_an_evacuation_moves_everybody_once(lived_in, world, tmp_path):
    def check():
        assert {who: len(states) for who, states in devices(lived_in, "de").items()} == {
            "alice/phone": 1,
            "bob/phone": 1,
        }
        assert len(list((tmp_path / "new").iterdir())) == 2
        agrees(lived_in, "fi", "de")
        shutil.rmtree(tmp_path / "new")

    def command():
        return lived_in("--yes", "node", "evacuate", "fi", "--to", "de", "--wave", "1", "--out", str(tmp_path / "new"))

    killed_everywhere(world, lived_in, command, check)


def test_a_rotation_makes_one_successor_and_moves_everybody_once(lived_in, world, tmp_path):
    def check():
        rows = lived_in("endpoint", "list", "fi", "--json").json
        assert {row["interface"]: row["successor"] for row in rows} == {"wg0": "wg1", "wg1": None}
        assert {who: len(states) for who, states in devices(lived_in, "fi").items()} == {
            "alice/phone": 2,
            "bob/phone": 2,
        }
        assert len(list((tmp_path / "new").iterdir())) == 2
        agrees(lived_in, "fi")
        shutil.rmtree(tmp_path / "new")

    def command():
        return lived_in("--yes", "endpoint", "rotate", "fi", "wg0", "--out", str(tmp_path / "new"))

    killed_everywhere(world, lived_in, command, check)


def test_an_adoption_makes_each_peer_one_device(service, world):
    def check():
        rows = service("peer", "list", "--json").json
        assert sorted(row["ipv4"] for row in rows) == ["10.8.1.1", "10.8.1.2", "10.8.1.3"]
        agrees(service, "fi")

    source = ("--from", str(CASES / "amnezia-2"), "--protocol", "amneziawg")
    killed_everywhere(world, service, lambda: service("node", "adopt", "fi", *source), check)


def test_a_rebuild_ends_on_the_new_server_with_the_same_peers(lived_in, world, fleet, monkeypatch):
    monkeypatch.setattr(names, "addresses", lambda _name: {"new.example.org"})
    lived_in("node", "set", "fi", "--public-host", "vpn.example.org")
    keys = fleet["fi.example.org"].live_keys()

    def check():
        assert fleet["new.example.org"].live_keys() == keys
        assert fleet["fi.example.org"].live_keys() == set(), "the old one serves nobody"
        agrees(lived_in, "fi")

    def command():
        where = ("--host", "root@new.example.org", "--host-key-fp", _fp(), "--wait", "0")
        return lived_in("--yes", "node", "rebuild", "fi", *where)

    killed_everywhere(world, lived_in, command, check)


def test_a_restore_and_what_is_decided_after_it_are_the_same(lived_in, world, fleet, settings, tmp_path):
    key = lived_in("--yes", "vault", "renew-recovery", "--show").out.strip()
    file = lived_in("backup", "create", "--out", str(tmp_path / "copy"), "--json").json["backup"]["file"]
    lived_in("peer", "revoke", "alice/phone")
    live = fleet["fi.example.org"].live_keys()
    for path in [*settings.state_dir.glob("vpnctl.db*"), settings.key_file]:
        path.unlink()

    def command():
        config = ("--yes", "--config", str(tmp_path / "vpnctl.yaml"))
        if not settings.sqlite_path.exists():
            done = lived_in(
                *config, "backup", "restore", str(tmp_path / "copy" / file), "--recovery-key", stdin=f"{key}\n"
            )
            assert done.code == 0, done
        return lived_in("--yes", "backup", "finish", "--missing", "revoke")

    def check():
        lived_in("jobs", "run", "sync")  # what was decided and not yet seen on a node is pending there, as ever
        assert fleet["fi.example.org"].live_keys() == live
        assert devices(lived_in, "fi").keys() == {"bob/phone"}
        assert "nothing is to be decided" in lived_in("backup", "finish").err
        agrees(lived_in, "fi", "de")

    killed_everywhere(world, lived_in, command, check)
