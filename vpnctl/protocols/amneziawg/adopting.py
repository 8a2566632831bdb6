"""How AmneziaWG servers are taken over: set up by hand, by an installer, or AmneziaVPN's containers.

Layout of the containers: amnezia-client, wireguard_configurator.cpp and protocolConstants (docs: `/opt/amnezia/awg`,
`wg0.conf` of the first generation, `awg0.conf` of the second, `clientsTable`; one preshared key for all).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols.amneziawg.options import GENERATION, USUAL_MTU, canonical
from vpnctl.protocols.amneziawg.parameters import NAMES, checked
from vpnctl.protocols.foreign import ForeignServer
from vpnctl.protocols.interface import BadOption
from vpnctl.protocols.wireguard import foreign
from vpnctl.protocols.wireguard.adopting import WireGuardAdopter

_PARTS = ("h1", "h2", "h3", "h4")


class AmneziaWGAdopter(WireGuardAdopter):
    """See `protocols.foreign.Adopter`."""

    clients = ("/etc/amnezia/amneziawg/clients/*.conf", "/home/*/*.conf", "/root/*.conf", "/root/awg/*.conf")
    interface = "awg0"
    folder = ("awg0.conf", "wg0.conf")

    def path(self, interface: str) -> str:
        """Return awg-quick's file."""
        return f"/etc/amnezia/amneziawg/{interface}.conf"

    def unit(self, interface: str) -> str:
        """Return awg-quick's unit."""
        return f"awg-quick@{interface}.service"

    def cure(self, interface: str) -> str:
        """Return how its unit takes it over; that interrupts it."""
        return super().cure(interface).replace("wg-quick", "awg-quick")

    def parse(self, text: str) -> ForeignServer:
        """Return the server with its parameters. InvalidInput for what cannot be kept, such as the third generation."""
        said = foreign.interface(text)
        if "headerprotectionkey" in said:
            raise InvalidInput(
                "that server is of AmneziaWG's third generation, whose header key vpnctl makes of the server's own",
                "serve beside it on another port (vpnctl endpoint add), and move people one by one",
            )
        if not all(name in said for name in _PARTS):
            raise InvalidInput("that server has none of AmneziaWG's parameters", "--protocol wireguard")
        given = canonical({name: said[name] for name in NAMES if name in said})
        later = any(given.get(name) for name in ("s3", "s4", "i1", "i2", "i3", "i4", "i5"))
        generation = "2.0" if later or any("-" in given[name] for name in _PARTS) else "1.0"
        try:
            checked(given, generation)
        except BadOption as error:
            raise InvalidInput(f"the server's parameters cannot be kept: {error.what}", "docs/adopting.md") from None
        return replace(foreign.parse(text), options={**given, GENERATION: generation})

    def options(self, server: ForeignServer) -> dict[str, Any]:
        """Return WireGuard's, with the parameters; AmneziaVPN's clients have the MTU that is usual here."""
        return super().options(replace(server, mtu=server.mtu or USUAL_MTU)) | dict(server.options)


ADOPTER = AmneziaWGAdopter()
