"""Connections that stay open: one per way to log in, checked, bounded, dropped when idle, replaced when broken."""

from __future__ import annotations

import threading

import pytest

from vpnctl.errors import Unreachable
from vpnctl.remote.shell import Login, Result
from vpnctl.remote.warm import WarmConnections

FI = Login("fi", "ssh", "fi.example.org", 22, "root", "ssh-ed25519 AAAA")


class Line:
    """A connection that can break."""

    def __init__(self, login):
        self.login, self.closed, self.broken, self.ran = login, False, False, []

    def run(self, argv, stdin=b"", seconds=60.0, hear=None):
        if self.broken or self.closed:
            raise Unreachable("the connection broke")
        self.ran.append(argv)
        return Result(0, b"", b"")

    def is_open(self):
        return not self.closed

    def close(self):
        self.closed = True


class Net:
    """What opens connections, and the time."""

    def __init__(self, **how):
        self.lines, self.now, self.down = [], 0.0, False
        self.warm = WarmConnections(self.open, clock=lambda: self.now, **how)

    def open(self, login):
        if self.down:
            raise Unreachable("no route")
        self.lines.append(Line(login))
        return self.lines[-1]

    def use(self, login=FI, times=1):
        shell = self.warm.connect(login)
        for _ in range(times):
            shell.run(["true"])
        shell.close()


def test_a_second_use_opens_nothing():
    net = Net()
    for _ in range(5):
        net.use()
    assert len(net.lines) == 1
    assert net.warm.count() == 1


def test_two_at_once_have_a_connection_each():
    net = Net()
    one, two = net.warm.connect(FI), net.warm.connect(FI)
    one.run(["a"])
    two.run(["b"])
    one.close()
    two.close()
    assert [each.ran for each in net.lines] == [[["a"]], [["b"]]]


@pytest.mark.parametrize("other", [
    Login("fi", "ssh", "fi.example.org", 22, "root", "ssh-ed25519 BBBB"),
    Login("fi", "ssh", "fi.example.org", 22, "admin", "ssh-ed25519 AAAA"),
    Login("fi", "ssh", "198.51.100.1", 22, "root", "ssh-ed25519 AAAA"),
    Login("fi", "ssh", "fi.example.org", 22, "root", "ssh-ed25519 AAAA", via=FI),
], ids=["host key", "user", "address", "jump"])  # fmt: skip
def test_another_way_to_log_in_never_gets_a_kept_one(other):
    net = Net()
    net.use()
    net.use(other)
    assert [each.login for each in net.lines] == [FI, other]


def test_one_that_broke_while_it_waited_is_replaced_once():
    net = Net()
    net.use()
    net.lines[0].broken = True
    net.use()
    assert len(net.lines) == 2
    assert net.lines[0].closed
    assert net.lines[1].ran == [["true"]]


def test_one_that_breaks_in_use_is_not_tried_again():
    net = Net()
    net.use()
    shell = net.warm.connect(FI)
    shell.run(["first"])
    net.lines[0].broken = True
    with pytest.raises(Unreachable):
        shell.run(["second: it may have done something"])
    assert len(net.lines) == 1


def test_a_node_that_is_gone_is_told_as_such():
    net = Net()
    net.use()
    net.lines[0].broken = net.down = True
    with pytest.raises(Unreachable, match="no route"):
        net.use()


def test_idle_ones_are_closed():
    net = Net(idle=600)
    net.use()
    net.now = 599
    net.use()
    net.now = 1198
    net.warm.sweep()
    assert net.warm.count() == 1
    net.now = 1200
    net.warm.sweep()
    assert (net.warm.count(), net.lines[0].closed) == (0, True)


def test_there_are_never_more_than_so_many():
    net = Net(most=3)
    shells = [net.warm.connect(FI) for _ in range(5)]
    for shell in shells:
        shell.close()
    assert net.warm.count() == 3
    assert sum(each.closed for each in net.lines) == 2


def test_once_closed_it_keeps_none():
    net = Net()
    held = net.warm.connect(FI)
    net.use()
    net.warm.close()
    held.close()
    assert all(each.closed for each in net.lines)


def test_many_threads_share_it():
    net = Net()

    def work():
        for _ in range(200):
            net.use()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(each.ran) for each in net.lines) == 1600
    assert len(net.lines) <= 8
