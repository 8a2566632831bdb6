"""Protocol plug-ins, a folder each. A new one is a folder here and a line in `PLUGINS`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.protocols.foreign import Adopter, ClientAdopter
    from vpnctl.protocols.interface import ProtocolPlugin

PLUGINS = {
    "wireguard": "vpnctl.protocols.wireguard.plugin",
    "amneziawg": "vpnctl.protocols.amneziawg.plugin",
    "xray": "vpnctl.protocols.xray.plugin",
    "v2ray": "vpnctl.protocols.v2ray.plugin",
    "3x-ui": "vpnctl.protocols.panel.plugin",
}
"""Protocol -> the module whose `PLUGIN` it is. The first one is what people get who name none."""

ADOPTERS = {
    "wireguard": "vpnctl.protocols.wireguard.adopting",
    "amneziawg": "vpnctl.protocols.amneziawg.adopting",
    "xray": "vpnctl.protocols.xray.adopting",
}
"""Protocol -> the module whose `ADOPTER` it is, where servers that others set up can be taken over."""

CLIENT_ADOPTERS = {"3x-ui": "vpnctl.protocols.panel.adopting"}
"""Protocol -> the module whose `ADOPTER` it is, where what others put into a server of theirs can become devices."""


def names() -> tuple[str, ...]:
    """Return the protocols that there are."""
    return tuple(PLUGINS)


def usual() -> str:
    """Return the protocol that people get who name none."""
    return names()[0]


def plugin(name: str) -> ProtocolPlugin:
    """Return the plug-in of that protocol; InvalidInput when there is none."""
    if name not in PLUGINS:
        raise InvalidInput(f"'{clean(name)}' is not a protocol", f"one of: {', '.join(names())}")
    return _loaded(PLUGINS[name])


@cache
def _loaded(module: str) -> ProtocolPlugin:
    return cast("ProtocolPlugin", import_module(module).PLUGIN)


def adopter(name: str) -> Adopter:
    """Return how servers of that protocol are taken over; InvalidInput where they cannot be."""
    if name not in ADOPTERS:
        raise InvalidInput(f"servers of {clean(name)} cannot be adopted", f"one of: {', '.join(ADOPTERS)}")
    return cast("Adopter", import_module(ADOPTERS[name]).ADOPTER)


def client_adopter(name: str) -> ClientAdopter | None:
    """Return how clients of somebody else's server of that protocol are taken over; None where there are none."""
    return cast("ClientAdopter", import_module(CLIENT_ADOPTERS[name]).ADOPTER) if name in CLIENT_ADOPTERS else None


def fetched() -> list[tuple[str, str]]:
    """Return (program, note of which archive it came from), for all that a node may have fetched for us."""
    found = {archive.program for name in PLUGINS for archive in plugin(name).archives}
    return [(f"/usr/local/bin/{each}", f"/var/lib/vpnctl/{each}.archive") for each in sorted(found)]
