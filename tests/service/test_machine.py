"""Our own machine: outputs that are full or gone, users without a name, read-only disks, terminals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st

from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.errors import InvalidInput
from vpnctl.rules import yamldoc
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models

ALL = Wish(scope=SYSTEM, always=True)


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


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)


def test_a_config_that_was_cut_off_while_it_was_written_is_not_there(tmp_path, monkeypatch):
    from vpnctl.store import vault

    def cut(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(vault.os, "link", cut)
    with pytest.raises(KeyboardInterrupt):
        vault.write_private(tmp_path / "bob.conf", "text", durable=False)
    assert list(tmp_path.iterdir()) == []


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
