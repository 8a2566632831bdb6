"""The app that reads our file on each platform, and what to do there."""

from __future__ import annotations

from vpnctl.protocols.interface import ClientApp
from vpnctl.rules.translation import mark

_NAME = "WireGuard"
APPS = {
    "windows": ClientApp(
        _NAME,
        "https://www.wireguard.com/install/",
        (
            mark("Install WireGuard from https://www.wireguard.com/install/"),
            mark("Open it, choose Import tunnel(s) from file, and pick {file}"),
            mark("Press Activate"),
        ),
    ),
    "ios": ClientApp(
        _NAME,
        "https://apps.apple.com/app/wireguard/id1441195209",
        (
            mark("Install WireGuard from the App Store"),
            mark("Tap +, then Create from QR code and scan it (or open {file} in Files and share it to WireGuard)"),
            mark("Switch the tunnel on"),
        ),
    ),
    "android": ClientApp(
        _NAME,
        "https://play.google.com/store/apps/details?id=com.wireguard.android",
        (
            mark("Install WireGuard from Google Play or F-Droid"),
            mark("Tap +, then Scan from QR code (or Import from file and pick {file})"),
            mark("Switch the tunnel on"),
        ),
    ),
    "macos": ClientApp(
        _NAME,
        "https://apps.apple.com/app/wireguard/id1451685025",
        (
            mark("Install WireGuard from the Mac App Store"),
            mark("Choose Import tunnel(s) from file and pick {file}"),
            mark("Press Activate"),
        ),
    ),
    "linux": ClientApp(
        _NAME,
        "https://www.wireguard.com/install/",
        (
            mark("Install the package wireguard-tools (and openresolv where there is no resolvconf)"),
            mark("sudo install -m 600 {file} /etc/wireguard/"),
            mark("sudo wg-quick up {name}   (at every boot: sudo systemctl enable wg-quick@{name})"),
        ),
    ),
}
"""Platform -> app."""
