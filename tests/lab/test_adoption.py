"""A server that was set up by hand becomes ours while people use it: no packet is lost, and it is ours for good."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.conftest import cannot
from tests.lab import amneziawg, cores
from tests.lab.conftest import Operator, wipe
from tests.lab.network import FAR_V4, SITE
from tests.lab.phones import Phone
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
CASES = Path(__file__).parents[1] / "cases/foreign"


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


AMNEZIA = """[Interface]
PrivateKey = {private}
Address = 10.8.1.0/24
ListenPort = 36911
{parameters}
[Peer]
PublicKey = {client}
PresharedKey = {shared}
AllowedIPs = 10.8.1.1/32
"""
AMNEZIA_CLIENT = """[Interface]
PrivateKey = {private}
Address = 10.8.1.1/32
MTU = 1376
{parameters}
[Peer]
PublicKey = {server}
PresharedKey = {shared}
Endpoint = {host}:36911
AllowedIPs = 0.0.0.0/0
PersistentKeepalive = 5
"""
PARAMETERS = """Jc = 4
Jmin = 10
Jmax = 50
S1 = 99
S2 = 41
S3 = 17
S4 = 9
H1 = 471800590-471800690
H2 = 1246894907-1246895000
H3 = 923637689-923637690
H4 = 1769581055-1869581055
"""


@pytest.fixture
def disguised(lab, pool, tmp_path):
    """A server with AmneziaWG that is none of ours: its file as AmneziaVPN writes it, and a client's file."""
    if amneziawg.why_not():
        cannot("AmneziaWG lab tests", amneziawg.why_not())
    node, own, client = pool[0], keypair.new(), keypair.new()
    shared = base64.b64encode(os.urandom(32)).decode()
    node.sh("apt-get -qq update && apt-get -qq -y --no-install-recommends install amneziawg-tools nftables")
    common = {"parameters": PARAMETERS, "shared": shared}
    folder = node.root / "etc/amnezia/amneziawg"
    folder.mkdir(parents=True, mode=0o700)
    text = AMNEZIA.format(private=own[1].reveal(), client=client[0], **common)
    (folder / "awg0.conf").write_text(text)
    (folder / "awg0.conf").chmod(0o600)
    copy = tmp_path / "amnezia"
    copy.mkdir()
    (copy / "awg0.conf").write_text(text)
    (copy / "clientsTable").write_text(json.dumps([{"clientId": client[0], "userData": {"clientName": "Mum"}}]))
    node.sh(
        "sysctl -qw net.ipv4.ip_forward=1; nft add table ip lab; nft add chain ip lab out '{ type nat hook postrouting priority 100; }'"
    )
    node.sh("nft add rule ip lab out ip saddr 10.8.1.0/24 oifname eth0 masquerade")
    phone = lab.client()
    yield (
        node,
        copy,
        phone,
        AMNEZIA_CLIENT.format(private=client[1].reveal(), server=own[0], host=node.address, **common),
    )
    phone.disconnect()


def test_an_amneziawg_server_becomes_ours_without_a_packet_lost(operator, disguised):
    node, _, phone, file = disguised
    node.sh("systemctl enable -q --now awg-quick@awg0")
    phone.connect(file)
    assert phone.ping(FAR_V4, 20)
    key = ("--host-key-fp", node.fingerprint(), "--identity", str(node.key))
    operator("node", "add", "old", f"root@{node.address}", *key)
    with phone.running_ping(FAR_V4, 0.05) as log:
        operator("node", "adopt", "old", "--protocol", "amneziawg")
    sent, lost = phone.lost(log)
    assert (sent > 20, lost) == (True, 0)
    assert "--mtu" in operator("node", "check", "old", code=4).out, "as awg-quick made it"
    operator("--yes", "endpoint", "set", "old", "awg0", "--mtu", "1376")
    operator("node", "check", "old")
    node.reboot()
    assert phone.ping(FAR_V4, 60)


def test_amneziavpns_container_is_followed_by_an_endpoint_that_its_clients_take_for_it(operator, disguised):
    node, copy, phone, file = disguised
    node.sh("awg-quick up awg0 2>/dev/null")
    phone.connect(file)
    assert phone.ping(FAR_V4, 20)
    key = ("--host-key-fp", node.fingerprint(), "--identity", str(node.key))
    operator("node", "add", "old", f"root@{node.address}", *key)
    node.sh("awg-quick down awg0 2>/dev/null; rm -r /etc/amnezia/amneziawg")
    operator("node", "adopt", "old", "--from", str(copy), "--protocol", "amneziawg")
    assert phone.ping(FAR_V4, 40), "with the file that it had"
    (row,) = operator("user", "list", "--json").json
    assert row["name"] == "mum"
    operator("peer", "suspend", "mum/main")
    assert phone.silent(FAR_V4)


def test_marzbans_users_go_on_with_the_links_that_they_have(operator, lab, pool, tmp_path):
    if cores.why_not():
        cannot("Marzban's Xray", cores.why_not())
    node = pool[0]
    before = Operator(tmp_path / "before", more={"VPNCTL_XRAY_ARCHIVE": cores.setting(lab.base)})
    before("init", "--yes")
    before.take("fi", node)
    own = ("--option", f"target={FAR_V4}:443", "--option", f"server_name={SITE}", "--option", "private_networks=allow")
    before("endpoint", "add", "fi", "xray", "--port", "8443", *own)
    before("user", "add", "alice")
    before("peer", "add", "alice/phone", "--node", "fi", "--protocol", "xray")
    phone = Phone(lab.client(), "alice/phone")
    phone.connect(before, "xray")
    assert phone.reaches()
    folder = tmp_path / "marzban"
    _marzban(folder, json.loads((node.root / "etc/vpnctl/xray/xr0.json").read_text()))
    wipe(node)
    assert phone.cut(), "its container was stopped"
    operator.more["VPNCTL_XRAY_ARCHIVE"] = cores.setting(lab.base)
    key = ("--host-key-fp", node.fingerprint(), "--identity", str(node.key))
    operator("node", "add", "old", f"root@{node.address}", *key)
    operator("node", "adopt", "old", "--from", str(folder), "--protocol", "xray", code=None)
    operator("endpoint", "set", "old", "xr0", "--option", "private_networks=allow")
    assert phone.reaches(40), "with the link that it had"
    operator("peer", "suspend", "reza/main")
    assert phone.cut()
    phone.disconnect()


def _marzban(folder, config):
    """The data of a Marzban that serves as this config does: its only person is called reza there."""
    folder.mkdir()
    inbound = next(each for each in config["inbounds"] if each["protocol"] == "vless")
    look = inbound["streamSettings"]["realitySettings"]
    number = inbound["settings"]["clients"][0]["id"]
    look["dest"] = look.pop("target", look.get("dest"))
    (folder / "xray_config.json").write_text(json.dumps({"inbounds": [inbound]}))
    with closing(sqlite3.connect(folder / "db.sqlite3")) as made:
        made.executescript((CASES / "marzban/db.sql").read_text())
        made.execute(
            "UPDATE proxies SET settings = ? WHERE id = 1", (json.dumps({"id": number, "flow": "xtls-rprx-vision"}),)
        )
        made.commit()
