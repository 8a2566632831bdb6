"""Updates of packages and cores: what a node may say, and what is asked of it. Real servers: tests/lab/test_update.py."""

from __future__ import annotations

import contextlib

import pytest

from tests.conftest import _fp
from vpnctl.actions.fleet import update
from vpnctl.errors import NodeFailed, Unreachable
from vpnctl.protocols.xray.plugin import ARCHIVE
from vpnctl.remote import updating
from vpnctl.remote.shell import Result

SECRET = "cGFzc3dvcmQtcGFzc3dvcmQtcGFzc3dvcmQtcGFzcw=="
PINNED = ARCHIVE.builds[0][2]


class Scripted:
    """A shell that answers with these lines; `sent` is the stdin of the last call, `words` its arguments."""

    def __init__(self, *lines, end=True):
        self.lines, self.end = lines, end
        self.sent, self.words = b"", ()

    def run(self, argv, stdin=b"", seconds=0.0, hear=None):
        nonce, self.words, self.sent = argv[4], argv[5:], stdin
        text = "".join(f"{line}\n" for line in self.lines) + (f"end\t{nonce}\n" if self.end else "")
        return Result(0, text.encode(), b"")

    def close(self):
        pass


def test_versions_are_read_and_a_core_is_known_by_its_archive():
    shell = Scripted("package\twireguard-tools\t1.0-1\t1.0-2", f"program\txray\t{'a' * 64}")
    found = updating.look(shell, "fi", ["wireguard-tools"], [ARCHIVE])
    assert [(each.name, each.now, each.then) for each in found.found] == [
        ("wireguard-tools", "1.0-1", "1.0-2"),
        ("xray", "a" * 64, PINNED),
    ]
    assert shell.words == ("look", "wireguard-tools", "xray")
    assert not found.begun


@pytest.mark.parametrize(
    "line",
    [
        "package\twireguard-tools\t-\t1.0",
        "package\twireguard-tools\t1.0\t-",
        "package\twireguard-tools\t1.0 $(id)\t1.1",
        "package\tsomething-else\t1.0\t1.1",
        "package\twireguard-tools",
        "program\tother\tabc",
        f"program\txray\t{PINNED}\x1b[2J",
        "program\txray\t-",
        "",
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_passed_over(line):
    assert updating.look(Scripted(line), "fi", ["wireguard-tools"], [ARCHIVE]).found == ()


def test_a_core_from_a_pinned_archive_is_not_newer():
    (one,) = updating.look(Scripted(f"program\txray\t{PINNED}"), "fi", [], [ARCHIVE]).found
    assert one.now == one.then


def test_an_answer_that_is_cut_short_counts_for_nothing():
    with pytest.raises(NodeFailed, match="not whole"):
        updating.look(Scripted("package\tnftables\t1\t2", end=False), "fi", ["nftables"], [])


def test_a_reason_is_told_without_what_looks_like_a_key():
    with pytest.raises(NodeFailed) as caught:
        updating.back(Scripted(f"failed\tback\tupdate\t\tno {SECRET} here"), "fi")
    assert SECRET not in caught.value.what
    assert "no *** here" in caught.value.what


def test_what_is_taken_is_told_line_by_line():
    shell = Scripted("did\tkeep")
    wanted = [updating.Version("nftables", "1", "2"), updating.Version("xray", "a", PINNED, ARCHIVE)]
    updating.take(shell, "fi", wanted, ["vpnctl-xray@xr0.service"], one_way=False)
    lines = shell.sent.decode().splitlines()
    assert lines[0] == "package\tnftables\t2"
    assert lines[1].split("\t")[:3] == ["program", "xray", f"x86_64 {PINNED} {ARCHIVE.builds[0][1]}"]
    assert lines[2] == "restart\tvpnctl-xray@xr0.service"
    assert shell.words == ("take", "")


def test_what_could_not_be_kept_is_told_apart_from_what_failed():
    with pytest.raises(updating.NothingTaken):
        updating.take(Scripted("failed\tkeep\tupdate\t\tnowhere to be had"), "fi", [], [], one_way=False)
    with pytest.raises(NodeFailed) as caught:
        updating.take(Scripted("failed\tinstall\tupdate\t\tbroken"), "fi", [], [], one_way=False)
    assert not isinstance(caught.value, updating.NothingTaken)


def test_an_update_that_was_begun_is_about_what_it_kept():
    lines = (
        "begun",
        "begun\tpackage\tnftables\t1\t2",
        f"begun\tprogram\txray\t{'a' * 64}\t-",
        "begun\tpackage\tx $(id)\t1\t2",
    )
    found = updating.look(Scripted(*lines, "package\twireguard-tools\t1\t9"), "fi", ["wireguard-tools"], [ARCHIVE])
    assert found.begun
    assert [(each.name, each.now, each.then) for each in found.found] == [
        ("nftables", "1", "2"),
        ("xray", "a" * 64, PINNED),
    ]


@pytest.fixture
def answering(service, fleet, monkeypatch):
    """The node's update script as one that answers with these lines."""

    def say(*lines):
        monkeypatch.setattr(update, "_opened", lambda *_: contextlib.nullcontext(Scripted(*lines)))
        return service

    return say


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--package", "wiregaurd-tools"), 2, "no node has wiregaurd-tools of ours"),
        (("--package", "wireguard-tools=1;id"), 2, "is not a package"),
        (("--package", "nftables"), 0, "nothing is newer"),
        (("--dry-run",), 0, "fi: wireguard-tools 1.0-1 -> 1.0-2"),
        (("--package", "wireguard-tools=1.0-0", "--dry-run"), 0, "fi: wireguard-tools 1.0-1 -> 1.0-0"),
    ],
)
def test_what_is_named_is_known_and_shown(answering, words, code, said):
    run = answering("package\twireguard-tools\t1.0-1\t1.0-2", "package\tnftables\t1\t1")
    done = run("node", "update", *words)
    assert (done.code, said in done.err) == (code, True), done


def test_a_node_that_breaks_off_ends_no_report(answering, monkeypatch):
    run = answering("package\twireguard-tools\t1.0-1\t1.0-2")

    def gone(*_args, **_more):
        raise Unreachable("fi: the connection broke", "vpnctl node check fi")

    monkeypatch.setattr(updating, "take", gone)
    done = run("--yes", "node", "update", "--wait", "0", "--json")
    assert done.code == 10
    assert [(each["node"], each["fate"]) for each in done.json["updated"]] == [("fi", "gone back")]


def test_an_update_whose_end_is_not_heard_of_is_told_as_such(answering, monkeypatch):
    run = answering("package\twireguard-tools\t1.0-1\t1.0-2")

    def gone(*_args, **_more):
        raise Unreachable("fi: the connection broke", "vpnctl node check fi")

    monkeypatch.setattr(updating, "forget", gone)
    done = run("--yes", "node", "update", "--wait", "0")
    assert done.code == 10
    assert "fi: not finished: it serves, and the way back is still kept there" in done.err


def test_the_node_with_fewest_devices_comes_first_unless_one_is_named(answering):
    run = answering("package\twireguard-tools\t1.0-1\t1.0-2")
    run("node", "add", "zz", "root@zz.example.org", "--host-key-fp", _fp(), "--provision")
    run("user", "add", "alice")
    run("peer", "add", "alice/phone", "--node", "fi")
    order = [each["node"] for each in run("node", "update", "--dry-run", "--json").json["newer"]]
    named = [each["node"] for each in run("node", "update", "fi", "zz", "--dry-run", "--json").json["newer"]]
    assert (order, named) == (["zz", "fi"], ["fi", "zz"])
