"""How WireGuard servers are taken over."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols.foreign import ForeignPeer, ForeignServer, Rows
from vpnctl.protocols.wireguard import foreign
from vpnctl.protocols.wireguard.options import USUAL_MTU
from vpnctl.rules import grammar
from vpnctl.rules.addresses import server_address
from vpnctl.rules.secret import Secret


class WireGuardAdopter:
    """See `protocols.foreign.Adopter`."""

    clients: tuple[str, ...] = (
        "/etc/wireguard/configs/*.conf", "/etc/wireguard/clients/*.conf", "/home/*/configs/*.conf", "/home/*/*.conf",
        "/root/*.conf",
    )  # fmt: skip
    tables = ("interfaces_table", "clients_table")
    interface = "wg0"
    folder: tuple[str, ...] = ("wg0.conf", "awg0.conf")
    beside = "clientsTable"

    def path(self, interface: str) -> str:
        """Return wg-quick's file."""
        return f"/etc/wireguard/{interface}.conf"

    def unit(self, interface: str) -> str:
        """Return wg-quick's unit."""
        return f"wg-quick@{interface}.service"

    def cure(self, interface: str) -> str:
        """Return how its unit takes it over; that interrupts it."""
        return (
            f"on the server, for a second nobody gets through: wg-quick down {interface}; "
            f"systemctl enable --now wg-quick@{interface}"
        )

    def parse(self, text: str) -> ForeignServer:
        """See `foreign.parse`."""
        if "h1" in foreign.interface(text):
            raise InvalidInput("that server speaks AmneziaWG", "--protocol amneziawg")
        return foreign.parse(text)

    def called(self, text: str) -> Mapping[str, str]:
        """See `foreign.amnezia_names`."""
        return foreign.amnezia_names(text)

    def data(self, text: str, port: int) -> ForeignServer:
        """Return the server in wg-easy's JSON, or in a copy of wg-quick's file."""
        return foreign.wg_easy_14(text, port) if text.lstrip().startswith("{") else self.parse(text)

    def peopled(self, _server: ForeignServer, _first: Rows, _second: Rows) -> ForeignServer:
        """Refuse: a server's own file says who its peers are."""
        raise InvalidInput(f"{self.beside} is a database", "look at that file")

    def database(self, server: Rows, peers: Rows) -> ForeignServer:
        """Return the server in wg-easy's database."""
        if not server:
            raise InvalidInput("that is not wg-easy's database", "wg-easy.db, in the volume of its container")
        return foreign.wg_easy_15(server[0], peers)

    def client(self, text: str) -> tuple[str, Secret] | None:
        """See `foreign.client`."""
        return foreign.client(text)

    def options(self, server: ForeignServer) -> dict[str, Any]:
        """Return pools whose first address is the server's, as vpnctl gives it; clients see each other, as before."""
        found: dict[str, Any] = {"pool_v6": None}
        for text in server.addresses:
            try:
                own = ipaddress.ip_interface(text)
            except ValueError:
                raise InvalidInput(
                    f"'{grammar.clean(text)}' is no address of a server", "look at its Address"
                ) from None
            name, first = f"pool_v{own.version}", str(own.ip) == server_address(own.network)
            if found.get(name) or not (first or own.version == 4):  # noqa: PLR2004
                raise InvalidInput(
                    f"the server's address {own} is not the first one of its network, or it has two of a kind",
                    "vpnctl cannot keep that as it is: move people to an endpoint of its own (docs/adopting.md)",
                )
            found |= {name: str(own.network)} | ({} if first else {"own_v4": str(own.ip)})
        if "pool_v4" not in found:
            raise InvalidInput(
                "the server has no IPv4 address", "vpnctl serves WireGuard with an IPv4 pool (docs/adopting.md)"
            )
        return found | {"isolation": False, "mtu": server.mtu or USUAL_MTU}

    def unfit(self, options: Mapping[str, Any], peer: ForeignPeer, taken: set[str]) -> str:
        """See `Adopter.unfit`."""
        nets = [ipaddress.ip_network(ip) for ip in peer.allowed_ips]
        v4 = [net for net in nets if net.version == 4]  # noqa: PLR2004
        if not nets:
            return "another peer has its address"
        if len(v4) != 1 or len(nets) - 1 > 1 or any(net.num_addresses != 1 for net in nets):
            return "it has other networks than one address of its own"
        for net in nets:
            pool = options[f"pool_v{net.version}"]
            if pool is None or net.network_address not in ipaddress.ip_network(pool):
                return "its address is outside of the server's network"
        if str(v4[0].network_address) == options.get("own_v4"):
            return "its address is the server's own"
        return "its address is taken here" if str(v4[0].network_address) in taken else ""


ADOPTER = WireGuardAdopter()
