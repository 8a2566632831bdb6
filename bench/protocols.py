"""What other protocols than WireGuard cost: one change, and a thousand people in one go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bench import measure
from bench.site import Site, one_key, site
from tests.lab import amneziawg, cores
from tests.lab.network import FAR_V4, SITE, Lab

COUNT = 1000
Row = Callable[..., None]


def run(home: Path, program: str, row: Row) -> None:
    """Measure on three nodes, one a protocol; what cannot be built here is left out and said so."""
    for reason in filter(None, (cores.why_not(), amneziawg.why_not())):
        print(f"Xray and AmneziaWG were left out: {reason}")
        return
    with Lab() as lab:
        nodes = lab.fleet(3)
        one_key(nodes)
        os.environ["VPNCTL_XRAY_ARCHIVE"] = cores.setting(lab.base)
        made = site(home / "protocols", nodes, program)
        plain, hidden, proxied = nodes
        face = (f"target={FAR_V4}:443", f"server_name={SITE}", "private_networks=allow")
        made.vpnctl("endpoint", "add", proxied.name, "xray", *(word for each in face for word in ("--option", each)))
        made.vpnctl("endpoint", "add", hidden.name, "amneziawg")
        many = {
            name: _many(made, node.name, name)
            for name, node in (("wireguard", plain), ("amneziawg", hidden), ("xray", proxied))
        }
        row(f"{COUNT} AmneziaWG peers in one go : WireGuard peers", many["amneziawg"], many["wireguard"], "<= 1.2")
        config = proxied.sh("cat /etc/vpnctl/xray/xr0.json")
        push = "cat > /etc/vpnctl/xray/xr0.json && systemctl restart vpnctl-xray@xr0"
        floor = measure.race(3, floor=lambda: made.ssh(proxied.address, push, config))["floor"]
        row(f"{COUNT} Xray people in one go : cold ssh, that file, a restart", many["xray"], floor, "<= 2")
        made.vpnctl("node", "sync", proxied.name)
        states = iter(["suspend", "resume"] * 20)
        got = measure.race(
            5,
            ours=lambda: made.vpnctl("peer", next(states), "xray-7"),
            floor=lambda: made.ssh(proxied.address, "true"),
        )
        row(f"one of {COUNT} Xray people suspended or resumed : one cold ssh", got["ours"], got["floor"], "~ 4")
        other = iter(["suspend", "resume"] * 20)
        got = measure.race(
            5,
            ours=lambda: made.vpnctl("peer", next(states), "xray-7"),
            floor=lambda: made.vpnctl("peer", next(other), "wireguard-7"),
        )
        row(f"one of {COUNT} Xray people changed : one of {COUNT} WireGuard peers", got["ours"], got["floor"], "~ 1.5")


def _many(made: Site, node: str, protocol: str) -> float:
    names = "\n".join(f"{protocol}-{number}" for number in range(COUNT))
    made.vpnctl("user", "add", "--from", "-", stdin=names)
    return made.vpnctl("peer", "add", "--from", "-", "--node", node, "--protocol", protocol, stdin=names)
