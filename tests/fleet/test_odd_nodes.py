"""Nodes that lie, flood, stand still or are slow harm nobody but themselves."""

from __future__ import annotations

import pytest

from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.service import selfcheck
from vpnctl.rules.changes import SYSTEM

ALL = Wish(scope=SYSTEM, always=True)


def test_a_peer_is_cut_though_the_upload_never_comes(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    settle(app, [node.id])
    peers.revoke(app, "alice")

    def stands_still():
        raise KeyboardInterrupt

    node.fake.before_file = stands_still
    with pytest.raises(KeyboardInterrupt):
        settle(app, [node.id])
    assert node.fake.live_keys() == set()


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}


def test_tokens_of_nobody_are_never_shown(service, fleet):
    fleet["fi.example.org"].files["/var/lib/vpnctl/token"] = ("600", b"\x1b[31mhello world\n")
    run = service("node", "sync")
    assert run.code == 7
    assert "hello" not in run.err


def test_a_few_lines_of_a_lying_node_do_not_keep_us_for_hours():
    import time

    from vpnctl.rules import firewall

    lines = ["table ip filter"]
    for number in range(40):
        lines += [f"chain c{number}", *[f"jump c{number + 1}"] * 3]
    lines += ["chain FORWARD", "type filter hook forward priority 0; policy drop;", "jump c0"]
    began = time.monotonic()
    firewall.judge(firewall.parse(lines), firewall.Listener("wg0", 51820, "udp"), ("eth0",), [4])
    assert time.monotonic() - began < 30, "walked once each, this takes milliseconds"


@pytest.mark.parametrize("line", ["fact\tos", "token\ta\tb\tc", "net\tx", "path\twg0", "way", "stale", "nft\ta\tb"])
def test_a_record_with_other_fields_is_a_malformed_answer_of_that_node(app, serve, line):
    node = serve()
    node.fake.answer = lambda out: line.encode() + b"\n" + out
    found = settle(app, [node.id], ALL)[0]
    assert (found.code, "makes no sense" in found.error) == (3, True)


def test_an_odd_interface_name_makes_no_node_unmanageable(app, serve):
    node = serve()
    node.fake.networks.append(("wan#1", "192.0.2.1/24"))
    assert settle(app, [node.id], ALL)[0].code == 0


def test_a_reason_that_holds_a_broken_up_key_is_not_shown(app, serve):
    node = serve()
    users.add(app, ["alice"])
    issued = peers.add(app, [Wanted("alice")])[0]
    psk = issued.shared.reveal()
    node.fake.answer = lambda out: out.replace(b"applied", f"failed\tsync\twg0\t\tbad {psk[:20]} {psk[20:]}".encode())
    found = settle(app, [node.id])[0]
    assert psk[:12] not in found.error
    assert psk[20:32] not in found.error
    assert "is not shown" in found.error
