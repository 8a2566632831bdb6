"""What a person receives: the file, its name, the QR code, and the steps for each platform."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.rules.secret import Secret
from vpnctl.texts.words import Words, mark

PLATFORMS = ("windows", "ios", "android", "macos", "linux")
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])")
_NAME_LIMIT = 15
"""wg-quick and Android take at most 15 characters of `[a-zA-Z0-9_=+.-]` as the name of a tunnel."""

APPS = {
    "windows": "https://www.wireguard.com/install/",
    "ios": "https://apps.apple.com/app/wireguard/id1441195209",
    "android": "https://play.google.com/store/apps/details?id=com.wireguard.android",
    "macos": "https://apps.apple.com/app/wireguard/id1451685025",
    "linux": "https://www.wireguard.com/install/",
}
"""Where the app is, per platform."""
APP_NAMES = {"wireguard": "WireGuard"}
"""Which app a protocol's file is for."""
TITLES = {"windows": "Windows", "ios": "iPhone, iPad", "android": "Android", "macos": "macOS", "linux": "Linux"}
_STEPS = {
    "windows": (
        mark("Install WireGuard from https://www.wireguard.com/install/"),
        mark("Open it, choose Import tunnel(s) from file, and pick {file}"),
        mark("Press Activate"),
    ),
    "ios": (
        mark("Install WireGuard from the App Store"),
        mark("Tap +, then Create from QR code and scan it (or open {file} in Files and share it to WireGuard)"),
        mark("Switch the tunnel on"),
    ),
    "android": (
        mark("Install WireGuard from Google Play or F-Droid"),
        mark("Tap +, then Scan from QR code (or Import from file and pick {file})"),
        mark("Switch the tunnel on"),
    ),
    "macos": (
        mark("Install WireGuard from the Mac App Store"),
        mark("Choose Import tunnel(s) from file and pick {file}"),
        mark("Press Activate"),
    ),
    "linux": (
        mark("Install the package wireguard-tools (and openresolv where there is no resolvconf)"),
        mark("sudo install -m 600 {file} /etc/wireguard/"),
        mark("sudo wg-quick up {name}   (at every boot: sudo systemctl enable wg-quick@{name})"),
    ),
}


def file_name(user: str, device: str, peer_id: str) -> str:
    """Return a file name that every client imports: at most 15 of `[a-z0-9_-]` and `.conf`, no Windows device name."""
    wish = user if device == "main" else f"{user}-{device}"
    if len(wish) > _NAME_LIMIT or _WINDOWS_DEVICES.fullmatch(wish):
        wish = f"{wish[:8].rstrip('-_')}-{hashlib.sha256(peer_id.encode()).hexdigest()[:6]}"
    return f"{wish}.conf"


def steps(platform: str, file: str, words: Words | None = None) -> list[str]:
    """Return what to do on a platform to use the file, in English unless told."""
    said = words or Words()
    return [said.say(step, file=file, name=file.removesuffix(".conf")) for step in _STEPS[platform]]


def all_steps(file: str) -> str:
    """Return the steps of every platform as a text."""
    parts = []
    for platform in PLATFORMS:
        lines = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps(platform, file), 1))
        parts.append(f"{TITLES[platform]}\n{lines}")
    return "\n\n".join(parts) + "\n"


def terminal_qr(config: Secret) -> str:
    """Return the QR code of a config in half blocks, dark on light, for any terminal."""
    out = io.StringIO()
    _code(config).print_ascii(out=out, invert=True)
    return out.getvalue()


def png(config: Secret) -> bytes:
    """Return the QR code of a config as a PNG picture."""
    out = io.BytesIO()
    _code(config).make_image().save(out, "PNG")
    return out.getvalue()


def _code(config: Secret) -> Any:
    import qrcode
    from qrcode.constants import ERROR_CORRECT_L

    code = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=2)
    code.add_data(config.reveal())
    try:
        code.make(fit=True)
    except ValueError:
        raise InvalidInput("the config is too large for a QR code", "hand out the file: --out FILE") from None
    return code
