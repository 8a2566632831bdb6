"""A server that was set up by hand becomes ours while people use it: no packet is lost, and it is ours for good."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack

import pytest

from tests.lab.network import FAR_V4
from vpnctl.protocols import keypair

SERVER = """[Interface]
# my own VPN
Address = 10.8.0.1/24
ListenPort = 51820
PrivateKey = {private}
PostUp = sysctl -qw net.ipv4.ip_forward=1; iptables -t nat -A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE
PostDown = iptables -t nat -D POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE
"""
PEER = """
### begin {name} ###
[Peer]
PublicKey = {public}
AllowedIPs = 10.8.0.{number}/32
### end {name} ###
"""
CLIENT = """[Interface]
PrivateKey = {private}
Address = 10.8.0.{number}/24

[Peer]
PublicKey = {server}
Endpoint = {host}:51820
AllowedIPs = 0.0.0.0/0
PersistentKeepalive = 5
"""
PEOPLE = 6


@pytest.fixture
def crowd(lab, pool):
    """A server set up by hand with wg-quick, and its clients, connected: names and clients. The first has left its file."""
    node, own, text, clients = pool[0], keypair.new(), "", {}
    for number in range(PEOPLE):
        public, private = keypair.new()
        name, client = f"p{number}", lab.client()
        text += PEER.format(name=name, public=public, number=number + 2)
        clients[name] = client
        file = CLIENT.format(private=private.reveal(), number=number + 2, server=own[0], host=node.address)
        client.connect(file)
        if not number:
            (node.root / "root/p0.conf").write_text(file)
    node.sh(
        "apt-get -qq update && apt-get -qq -y --no-install-recommends install wireguard-tools wireguard-go iptables"
    )
    folder = node.root / "etc/wireguard"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "wg0.conf").write_text(SERVER.format(private=own[1].reveal()) + text)
    (folder / "wg0.conf").chmod(0o600)
    node.sh("systemctl enable -q --now wg-quick@wg0")
    for client in clients.values():
        assert client.ping(FAR_V4, 20)
    return clients


def test_nobody_loses_a_packet_and_it_stays_ours_after_a_boot(operator, pool, crowd):
    node = pool[0]
    more = ("--host-key-fp", node.fingerprint(), "--identity", str(node.key))
    operator("node", "add", "old", f"root@{node.address}", *more)
    with ExitStack() as running:
        logs = {name: running.enter_context(client.running_ping(FAR_V4, 0.05)) for name, client in crowd.items()}
        made = json.loads(operator("--json", "node", "adopt", "old").out)
    assert {name: crowd[name].lost(log)[1] for name, log in logs.items()} == dict.fromkeys(crowd, 0)
    assert {each["device"]: each["config"] for each in made["peers"]} == {
        f"p{number}/main": number == 0 for number in range(PEOPLE)
    }
    assert json.loads(operator("--json", "node", "adopt", "old").out)["changed"] is False
    operator("node", "check", "old")
    operator("peer", "suspend", "p1")
    assert crowd["p1"].silent(FAR_V4)
    assert base64.b64decode(operator("peer", "config", "p0").out.split("PrivateKey = ")[1][:44])
    node.reboot()
    operator("node", "check", "old")
    assert crowd["p2"].ping(FAR_V4, 20)
    assert crowd["p1"].silent(FAR_V4)
