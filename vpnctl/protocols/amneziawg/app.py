"""The app that reads our file on each platform, and what to do there."""

from __future__ import annotations

from vpnctl.protocols.interface import ClientApp
from vpnctl.rules.translation import mark

_NAME = "AmneziaWG"
_RELEASES = "https://github.com/amnezia-vpn"
APPS = {
    "windows": ClientApp(
        _NAME,
        f"{_RELEASES}/amneziawg-windows-client/releases",
        (
            mark("Install AmneziaWG from https://github.com/amnezia-vpn/amneziawg-windows-client/releases"),
            mark("Open it, choose Import tunnel(s) from file, and pick {file}"),
            mark("Press Activate"),
        ),
    ),
    "ios": ClientApp(
        _NAME,
        "https://apps.apple.com/app/amneziawg/id6478942365",
        (
            mark("Install AmneziaWG from the App Store"),
            mark("Open {file} in Files and share it to AmneziaWG"),
            mark("Switch the tunnel on"),
        ),
    ),
    "android": ClientApp(
        _NAME,
        "https://play.google.com/store/apps/details?id=org.amnezia.awg",
        (
            mark("Install AmneziaWG from Google Play"),
            mark("Tap +, then Import from file and pick {file}"),
            mark("Switch the tunnel on"),
        ),
    ),
    "macos": ClientApp(
        _NAME,
        "https://apps.apple.com/app/amneziawg/id6478942365",
        (
            mark("Install AmneziaWG from the App Store"),
            mark("Choose Import tunnel(s) from file and pick {file}"),
            mark("Press Activate"),
        ),
    ),
    "linux": ClientApp(
        _NAME,
        f"{_RELEASES}/amneziawg-tools",
        (
            mark("Install amneziawg-tools and the kernel module or amneziawg-go"),
            mark("sudo install -D -m 600 {file} /etc/amnezia/amneziawg/{file}"),
            mark("sudo awg-quick up {name}   (at every boot: sudo systemctl enable awg-quick@{name})"),
        ),
    ),
}
"""Platform -> app."""

READERS = {
    "3.1": (
        "AmneziaVPN 5.0.1.5 or later",
        "AmneziaWG 3.1.20260814 (Android), 3.1.0 (Windows), 3.1.3 (Apple) or later",
    ),
    "3.0": ("an app of AmneziaWG 3.0",),
    "2.0": ("AmneziaWG 2.0.0 or later", "AmneziaVPN 4.8.12.9 or later", "mihomo 1.19.14 or later"),
    "1.0": ("AmneziaWG", "AmneziaVPN", "mihomo"),
}
"""Generation -> apps that speak it. Older ones drop what they do not know, and then no handshake completes."""
