"""Protocol plug-ins, one module each. A new one is a file here and a line in `NAMES`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.protocols.interface import ProtocolPlugin

NAMES = ("wireguard",)


def plugin(name: str) -> ProtocolPlugin:
    """Return the plug-in of that protocol; InvalidInput when there is none."""
    if name not in NAMES:
        raise InvalidInput(f"'{clean(name)}' is not a protocol", f"one of: {', '.join(NAMES)}")
    return cast("ProtocolPlugin", import_module(f"vpnctl.protocols.{name}").PLUGIN)
