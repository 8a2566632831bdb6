"""The app that reads our link on each platform, and what to do there."""

from __future__ import annotations

from vpnctl.protocols.interface import ClientApp
from vpnctl.rules.translation import mark

_DESKTOP = "https://github.com/2dust/v2rayN/releases"
_ON_DESKTOP = (
    mark("Install v2rayN from https://github.com/2dust/v2rayN/releases"),
    mark("Copy the link, open v2rayN and choose Import from clipboard"),
    mark("Select the server and switch the system proxy or TUN mode on"),
)
APPS = {
    "windows": ClientApp("v2rayN", _DESKTOP, _ON_DESKTOP),
    "ios": ClientApp(
        "Streisand",
        "https://apps.apple.com/app/streisand/id6450534064",
        (
            mark("Install Streisand from the App Store"),
            mark("Copy the link, tap + and choose Import from clipboard (or scan the QR code)"),
            mark("Switch the connection on"),
        ),
    ),
    "android": ClientApp(
        "v2rayNG",
        "https://play.google.com/store/apps/details?id=com.v2ray.ang",
        (
            mark("Install v2rayNG from Google Play"),
            mark("Copy the link, tap + and choose Import from clipboard (or scan the QR code)"),
            mark("Tap the round button to connect"),
        ),
    ),
    "macos": ClientApp("v2rayN", _DESKTOP, _ON_DESKTOP),
    "linux": ClientApp("v2rayN", _DESKTOP, _ON_DESKTOP),
}
"""Platform -> app."""


def readers(xhttp: bool) -> tuple[str, ...]:
    """Return the apps that read a link; with XHTTP only those that have Xray itself inside."""
    return ("v2rayNG", "v2rayN", "Streisand", *(() if xhttp else ("Happ", "mihomo", "sing-box")))
