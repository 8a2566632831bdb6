"""Every command that the runbook and the README name is run, with the names they use."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def commands(document):
    """Return the vpnctl commands in code blocks of a document, without their comments."""
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", "")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].split("      #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("vpnctl ")]


@pytest.fixture
def night(operator, pool, tmp_path):
    """A service with the runbook's names: two nodes, alice with two devices."""
    operator.take("helsinki", pool[0])
    operator.take("falkenstein", pool[1])
    operator("user", "add", "alice")
    return operator


def test_every_command_of_the_runbook_does_what_it_says(night, pool, tmp_path, monkeypatch):
    """Run in the order of the pages, with the fixture's fingerprints, keys and addresses in place of the examples."""
    from vpnctl.rules.secret import Secret

    monkeypatch.chdir(tmp_path)
    new = pool[1]
    key = night("--yes", "vault", "renew-recovery", "--show").out.strip()
    ran = 0
    for words in commands("runbook.md"):
        args = [word.replace("SHA256:…", pool[0].fingerprint()) for word in words[1:]]
        stdin = ""
        if args[:2] in (["peer", "regen"], ["peer", "verify"]) or args[:3] == ["user", "migrate", "alice"]:
            night("peer", "add", "alice", "--device", "phone", "--node", "helsinki", code=None)
        if args[:3] == ["--yes", "node", "trust"]:
            # another controller: the node shows a token that this database never issued
            new.sh("echo 0123456789abcdef > /var/lib/vpnctl/token")
            args = [word.replace("TOKEN", "0123456789abcdef") for word in args]
            night("node", "check", args[3], code=7)
        if args[1:3] == ["node", "rebuild"]:
            # the new server is the other machine, made bare
            night("--yes", "node", "retire", "falkenstein", "--revoke-peers")
            more = ("--identity", str(new.key), "--host-key-fp", new.fingerprint(), "--wait", "0")
            args = ["--yes", "node", "rebuild", "helsinki", "--host", f"root@{new.address}", *more, *args[-2:]]
        if args[:2] == ["backup", "restore"]:
            # the machine is lost, and what was copied from it is all there is
            backup = next((night.home / "state/backups").iterdir())
            backup.rename(tmp_path / backup.name)
            shutil.rmtree(night.home / "state")
            (night.home / "vault.key").unlink()
            args = ["--config", str(tmp_path / "vpnctl.yaml"), "backup", "restore", str(tmp_path / backup.name)]
            stdin = Secret(key).reveal() + "\n"
        if args[:2] == ["vault", "recover"]:
            (night.home / "vault.key").unlink()
            stdin = Secret(key).reveal() + "\n"
        run = night(*args, stdin=stdin, code=None)
        assert run.code in (0, 4), (args, run)
        ran += 1
    assert ran >= 20


def test_a_walk_through_the_readme_ends_with_a_working_tunnel(operator, pool, lab, tmp_path, monkeypatch):
    from tests.lab.network import FAR_V4

    monkeypatch.chdir(tmp_path)
    first, second = pool
    ran = []
    (tmp_path / "plans.yaml").write_text(
        (ROOT / "inventory/example-plans.yaml").read_text().replace("[Helsinki]", "[]")
    )
    for words in commands("README.md"):
        args = words[1:]
        if args[0].startswith("--install") or args[:2] in (["jobs", "install"], ["bot", "run"]):
            continue  # `bot run` serves until it is stopped: tests/lab/test_bot.py
        if args[:2] == ["node", "add"]:
            more = [
                "--host-key-fp",
                first.fingerprint(),
                "--identity",
                str(first.key),
                "--public-host",
                first.address,
                "--provision",
            ]
            args = ["node", "add", "helsinki", f"root@{first.address}", *more]
        if args[:2] == ["user", "migrate"]:
            operator.take("falkenstein", second)
        run = operator(*args, code=None)
        assert run.code == 0, (args, run)
        ran.append(" ".join(args[:2]))
        if args[:4] == ["peer", "add", "alice", "--device"] and "laptop" in args:
            client = lab.client()
            client.connect((tmp_path / "alice-laptop.conf").read_text())
            assert client.ping(FAR_V4, 20)
            client.disconnect()
    for needed in (
        "init",
        "node add",
        "peer add",
        "peer regen",
        "user migrate",
        "peer revoke",
        "user block",
        "node sync",
    ):
        assert any(each.startswith(needed) for each in ran), needed
