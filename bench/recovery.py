"""What recovery takes: a lost server with 1,000 devices, an evacuation of as many, a lost controller with ten nodes."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.pinging import passes, pinging
from bench.site import Site, one_key, site
from tests.lab.network import FAR_V4, Lab
from tests.lab.node import Node
from vpnctl.protocols import keypair

COUNT, CLIENTS, BY_FILE, NODES, MOVING = 1000, 20, 180, 10, 50
"""Devices; clients of the system's own (wg-quick); further old files, each tried by a tunnel of this process; nodes; clients that ping meanwhile."""
Row = Callable[..., None]
_PACKAGES = "apt-get -qq update && apt-get -qq -y --no-install-recommends install wireguard-tools nftables"
_START = "cat > /etc/wireguard/wg0.conf && chmod 600 /etc/wireguard/wg0.conf && systemctl enable -q --now wg-quick@wg0"


def run(home: Path, program: str, row: Row) -> None:
    """Measure; the floor is what plain ssh takes for packages, the same file, and one start."""
    with Lab() as lab:
        nodes = lab.fleet(NODES + 2)
        one_key(nodes)
        served, (fresh, floor) = nodes[:NODES], nodes[NODES:]
        made = site(home / "recovery", served, program)
        lost = served[0]
        names = [f"r{number}" for number in range(COUNT)]
        made.vpnctl("user", "add", "--from", "-", stdin="\n".join(names))
        files = home / "files"
        made.vpnctl("peer", "add", "--from", "-", "--node", lost.name, "--out", str(files), stdin="\n".join(names))
        clients = [lab.client() for _ in range(CLIENTS)]
        texts = [(files / f"{name}.conf").read_text() for name in names[:: COUNT // (CLIENTS + BY_FILE)]]
        old, more = texts[:CLIENTS], texts[CLIENTS:]
        config = (lost.root / "etc/wireguard/wg0.conf").read_text()
        lost.cut()
        back: list[float] = []
        began = time.monotonic()
        ours = _rebuilt(made, lost, fresh)
        for client, text in zip(clients, old, strict=True):  # the address in a file stands for a name's here
            client.connect(text.replace(f"Endpoint = {lost.address}:", f"Endpoint = {fresh.address}:"))
        for client in clients:
            if client.ping(FAR_V4, 20):
                back.append(time.monotonic() - began)
        for text in more:
            if passes(text, fresh.address):
                back.append(time.monotonic() - began)
        theirs = made.ssh(floor.address, f"{_PACKAGES} && {_START}", config)
        note = (
            f"{len(back)} of {CLIENTS + BY_FILE} old files carry pings, the last after {max(back):.1f} s"
            if back
            else "nobody is back"
        )
        row(f"rebuild of {COUNT} devices on a fresh server : packages, file, start", ours, theirs, "30 s", note)
        _evacuation(made, lost.name, (fresh, more[:MOVING]), served[1:3], home, row)
        _controller(made, home, row)
        floor.sh("systemctl disable -q --now wg-quick@wg0; rm /etc/wireguard/wg0.conf")
        _adoption(made, floor, row)


def _rebuilt(made: Site, lost: Node, fresh: Node) -> float:
    how = ("--host", f"root@{fresh.address}", "--host-key-fp", fresh.fingerprint(), "--identity", str(fresh.key))
    return made.vpnctl("node", "rebuild", lost.name, *how, "--destroyed", "--wait", "0")


def _evacuation(
    made: Site, name: str, source: tuple[Node, list[str]], targets: list[Node], home: Path, row: Row
) -> None:
    fresh, files = source
    to = ",".join(each.name for each in targets)
    with pinging(files, fresh.address) as running:
        ours = made.vpnctl("node", "evacuate", name, "--to", to, "--out", str(home / "moved"))
    told = running.close()
    people = sum(len(each.people()) for each in targets)
    theirs = made.ssh(fresh.address, "true")
    row(
        f"evacuation of {COUNT} devices over two nodes : one cold ssh",
        ours,
        theirs,
        "-",
        f"{people} devices there; {told}",
    )


def _controller(made: Site, home: Path, row: Row) -> None:
    """Backup, everything lost, and back to an empty change set on all nodes."""
    renew = [made.program, "--yes", "vault", "renew-recovery", "--show"]
    key = subprocess.run(renew, env=made.env, capture_output=True, text=True, check=True).stdout
    create = made.vpnctl("backup", "create", "--out", str(home / "kept"))
    backup = next((home / "kept").iterdir())
    shutil.rmtree(made.home / "state")
    (made.home / "vault.key").unlink()
    began = time.monotonic()
    made.vpnctl("--config", str(home / "restored.yaml"), "backup", "restore", str(backup), stdin=key)
    made.vpnctl("backup", "finish")
    made.vpnctl("node", "check")
    took = time.monotonic() - began
    row(f"restore and empty change sets on {NODES} nodes : backup create", took, create, "60 s", "compared when made")


_SERVER = """[Interface]
Address = 10.77.0.1/24
ListenPort = 51820
PrivateKey = {}
PostUp = sysctl -qw net.ipv4.ip_forward=1; nft add table ip lab; nft add chain ip lab out '{{ type nat hook postrouting priority 100; }}'
PostUp = nft add rule ip lab out ip saddr 10.77.0.0/24 oifname eth0 masquerade
"""
_PEER = "\n[Peer]\nPublicKey = {}\nAllowedIPs = 10.77.0.{}/32\n"
_FILE = "PrivateKey = {}\nAddress = 10.77.0.{}/32\nPublicKey = {}\nEndpoint = {}:51820\n"


def _adoption(made: Site, node: Node, row: Row) -> None:
    """A server that was set up by hand, with clients that ping all the while, becomes ours."""
    own, people = keypair.new(), [keypair.new() for _ in range(MOVING)]
    text = _SERVER.format(own[1].reveal())
    text += "".join(_PEER.format(public, number) for number, (public, _) in enumerate(people, 2))
    theirs = made.ssh(node.address, _START, text)
    files = [
        _FILE.format(private.reveal(), number, own[0], node.address) for number, (_, private) in enumerate(people, 2)
    ]
    how = ("--host-key-fp", node.fingerprint(), "--identity", str(node.key))
    made.vpnctl("node", "add", "old", f"root@{node.address}", *how)
    with pinging(files, node.address) as running:
        ours = made.vpnctl("node", "adopt", "old")
    row(f"adoption of {MOVING} peers : writing the file and starting", ours, theirs, "0 lost", running.close())
