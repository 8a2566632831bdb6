"""Drills: what is lost comes back, shown with packets of the files that people have."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.conftest import PROGRAM, Operator
from tests.lab.host import run
from tests.lab.network import FAR_V4

NAME = "vpn.example.org"


@dataclass
class Names:
    """One name, in a file that vpnctl and clients read in place of /etc/hosts."""

    record: Path

    @property
    def program(self) -> tuple[str, ...]:
        """The real program, with these names."""
        return ("unshare", "-m", "sh", "-c", f'mount --bind {self.record} /etc/hosts && exec "$@"', "sh", *PROGRAM)

    def lead_to(self, address: str) -> None:
        self.record.write_text(f"127.0.0.1 localhost\n{address} {NAME}\n")

    def read_by(self, client) -> None:
        """`ip netns exec` puts what is in this folder over /etc."""
        folder = Path("/etc/netns") / client.namespace
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.record, folder / "hosts")


@pytest.fixture
def names(operator, tmp_path, lab) -> Iterator[Names]:
    """The operator's own command changes the name's record."""
    found = Names(tmp_path / "hosts")
    command = tmp_path / "change-record"
    command.write_text(
        f'#!/bin/sh\nset -e\n[ "$2" = {NAME} ]\nprintf "127.0.0.1 localhost\\n%s %s\\n" "$3" "$2" > {found.record}\n'
    )
    command.chmod(0o700)
    operator.more["VPNCTL_DNS_COMMAND"] = str(command)
    yield found
    for folder in Path("/etc/netns").glob(f"{lab.name}-c*"):
        shutil.rmtree(folder)


def test_a_lost_server_comes_back_on_another_one_and_old_files_carry_packets(operator, pool, lab, names):
    lost, new = pool
    names.lead_to(lost.address)
    operator.take("helsinki", lost, "--public-host", NAME)
    operator("endpoint", "add", "helsinki", "amneziawg")
    operator("user", "add", "alice")
    files = {
        each: operator("peer", "add", f"alice/{each}", "--protocol", each).out for each in ("wireguard", "amneziawg")
    }
    clients = {each: lab.client() for each in files}
    for each, client in clients.items():
        names.read_by(client)
        client.connect(files[each])
        assert client.ping(FAR_V4, 20), each
    lost.cut()
    add = ("--host-key-fp", new.fingerprint(), "--identity", str(new.key))
    rebuilt = ("--yes", "--json", "node", "rebuild", "helsinki", "--host", f"root@{new.address}", *add, "--wait", "20")
    done = json.loads(operator(*rebuilt, program=names.program).out)
    assert (done["name_leads_there"], done["devices"], done["pending"]) == (True, [], [])
    for each, client in clients.items():
        names.read_by(client)
        client.connect(files[each])  # a client looks a name up when it connects
        assert client.ping(FAR_V4, 20), each
    lost.plug()
    operator("node", "check", "helsinki", program=names.program)
    print("a lost server came back after", done["seconds"])


def test_an_old_server_that_still_answers_carries_no_packets_any_more(operator, pool, lab, names):
    lost, new = pool
    names.lead_to(lost.address)
    operator.take("helsinki", lost, "--public-host", NAME)
    operator("user", "add", "alice")
    file = operator("peer", "add", "alice/phone").out
    client = lab.client()
    names.read_by(client)
    client.connect(file)
    assert client.ping(FAR_V4, 20)
    add = ("--host-key-fp", new.fingerprint(), "--identity", str(new.key))
    done = operator(
        "--yes",
        "node",
        "rebuild",
        "helsinki",
        "--host",
        f"root@{new.address}",
        *add,
        "--wait",
        "1",
        program=names.program,
    )
    assert "was seen to stop serving" in done.err
    assert client.silent(FAR_V4)
    lost.reboot()
    assert client.silent(FAR_V4), "also after it booted"
    names.read_by(client)
    client.connect(file)
    assert client.ping(FAR_V4, 20)


def test_an_evacuation_loses_no_packet_before_the_switch_and_the_new_files_work(served, lab, fi, de, tmp_path):
    names = [f"p{number}" for number in range(6)]
    (tmp_path / "names").write_text("".join(f"{name}\n" for name in names))
    served("user", "add", "--from", str(tmp_path / "names"))
    served("peer", "add", "--from", str(tmp_path / "names"), "--node", "fi", "--out", str(tmp_path / "old"))
    clients = [lab.client() for _ in names]
    with ExitStack() as running:
        logs = []
        for name, client in zip(names, clients, strict=True):
            client.connect((tmp_path / "old" / f"{name}.conf").read_text())
            assert client.ping(FAR_V4, 20)
            logs.append(running.enter_context(client.running_ping(FAR_V4, 0.2)))
        served("--yes", "node", "evacuate", "fi", "--to", "de", "--wave", "3", "--out", str(tmp_path / "new"))
    lost = [client.lost(log) for client, log in zip(clients, logs, strict=True)]
    assert all(sent > 5 and gone == 0 for sent, gone in lost), lost
    for name, client in zip(names, clients, strict=True):
        client.connect((tmp_path / "new" / f"{name}.conf").read_text())
        assert client.ping(FAR_V4, 20)
        assert client.get(FAR_V4) == de.address
    served("node", "sync")
    assert fi.people() == set(), "each ended when its successor was heard of"


def test_a_rotation_loses_no_packet_and_the_old_key_ends_when_everybody_has_the_new_one(served, lab, fi, tmp_path):
    names = ["p0", "p1"]
    clients = [lab.client() for _ in names]
    with ExitStack() as running:
        logs = []
        for name, client in zip(names, clients, strict=True):
            served("user", "add", name)
            client.connect(served("peer", "add", f"{name}/phone", "--node", "fi").out)
            assert client.ping(FAR_V4, 20)
            logs.append(running.enter_context(client.running_ping(FAR_V4, 0.2)))
        served("--yes", "endpoint", "rotate", "fi", "wg0", "--out", str(tmp_path / "new"))
    lost = [client.lost(log) for client, log in zip(clients, logs, strict=True)]
    assert all(sent > 5 and gone == 0 for sent, gone in lost), lost
    for name, client in zip(names, clients, strict=True):
        client.connect((tmp_path / "new" / f"{name}-phone.conf").read_text())
        assert client.ping(FAR_V4, 20)
    served("jobs", "run", "sync")
    served("jobs", "run", "sync")
    assert fi.sh("wg show interfaces").split() == ["wg1"]
    served("node", "check", "fi")


def test_a_lost_controller_comes_back_from_a_copy_on_another_machine(served, lab, fi, de, tmp_path):
    """Backup by SFTP, everything lost, an empty machine: files stay valid, what was revoked since stays cut."""
    for user in ("alice", "bob"):
        served("user", "add", user)
    old, late = lab.client(), lab.client()
    old.connect(served("peer", "add", "alice/phone", "--node", "fi").out)
    served("peer", "add", "bob/phone", "--node", "fi")
    de.sh("mkdir -p /root/backups")
    served.more["VPNCTL_BACKUP_SFTP"] = f"root@{de.address}/root/backups {de.fingerprint()}"
    key = served("--yes", "vault", "renew-recovery", "--show").out
    served("jobs", "run", "backup")
    served("peer", "revoke", "bob/phone")
    served("user", "add", "carol")
    late.connect(served("peer", "add", "carol/phone", "--node", "fi").out)
    assert old.ping(FAR_V4, 20)
    assert late.ping(FAR_V4, 20)
    name = de.sh("ls /root/backups").strip()
    (tmp_path / name).write_bytes((de.root / "root/backups" / name).read_bytes())
    empty = Operator(tmp_path / "new machine")
    empty.home.mkdir()
    began = time.monotonic()
    config = ("--config", str(empty.home / "vpnctl.yaml"))
    empty(*config, "backup", "restore", str(tmp_path / name), stdin=key)
    assert "bob/phone is in the backup and not there" in empty(*config, "backup", "finish", code=6).err
    with late.running_ping(FAR_V4) as pings, old.running_ping(FAR_V4) as others:
        empty("--yes", *config, "backup", "finish", "--missing", "revoke", "--unknown", "keep")
    assert late.lost(pings)[1] == old.lost(others)[1] == 0
    assert empty(*config, "--json", "node", "sync", "--dry-run").out.count('"changes": []') == 2
    print(f"a lost controller came back after {time.monotonic() - began:.1f} s")
    served("node", "sync", "fi", code=7)
    assert "another controller" in served("node", "check", "fi", code=7).err


def test_a_backup_host_with_another_key_gets_nothing(served, de):
    served.more["VPNCTL_BACKUP_SFTP"] = f"root@{de.address}/root/backups SHA256:{'A' * 43}"
    failed = served("jobs", "run", "backup", code=10)
    assert "nothing was sent" in failed.err
    assert len(json.loads(served("backup", "list", "--json").out)) == 1, "the one here was written all the same"


def test_a_restore_on_a_full_disk_leaves_nothing_half_done_and_works_when_there_is_room(operator, lab, tmp_path):
    operator("user", "add", "--from", "-", stdin="".join(f"u{number}\n" for number in range(500)))
    key = operator("--yes", "vault", "renew-recovery", "--show").out
    made = operator("backup", "create", "--out", str(tmp_path / "copy"), "--json").json["backup"]["file"]
    new = Operator(tmp_path / "new")
    (new.home / "state").mkdir(parents=True, mode=0o700)
    run("mount", "-t", "tmpfs", "-o", "size=200k,mode=700", "tmpfs", str(new.home / "state"))
    try:
        restore = (
            "--yes",
            "--config",
            str(tmp_path / "vpnctl.yaml"),
            "backup",
            "restore",
            str(tmp_path / "copy" / made),
        )
        full = new(*restore, stdin=key, code=None)
        assert full.code == 9, full
        assert "No space left" in full.err
        assert [path.name for path in (new.home / "state").iterdir() if "vpnctl.db" in path.name] == []
        run("mount", "-o", "remount,size=64m", str(new.home / "state"))
        new(*restore, stdin=key)
        assert len(new("user", "list", "--limit", "0", "--json").json) == 500
    finally:
        run("umount", "-l", str(new.home / "state"))
