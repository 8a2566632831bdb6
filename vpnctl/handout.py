"""What a person receives: the file, its name, the QR code, and the steps for each platform."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.rules.secret import Secret

PLATFORMS = ("windows", "ios", "android", "macos", "linux")
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])")
_NAME_LIMIT = 15
"""wg-quick and Android take at most 15 characters of `[a-zA-Z0-9_=+.-]` as the name of a tunnel."""

_STEPS = {
    "windows": (
        "Install WireGuard from https://www.wireguard.com/install/",
        "Open it, choose Import tunnel(s) from file, and pick {file}",
        "Press Activate",
    ),
    "ios": (
        "Install WireGuard from the App Store",
        "Tap +, then Create from QR code and scan it (or open {file} in Files and share it to WireGuard)",
        "Switch the tunnel on",
    ),
    "android": (
        "Install WireGuard from Google Play or F-Droid",
        "Tap +, then Scan from QR code (or Import from file and pick {file})",
        "Switch the tunnel on",
    ),
    "macos": (
        "Install WireGuard from the Mac App Store",
        "Choose Import tunnel(s) from file and pick {file}",
        "Press Activate",
    ),
    "linux": (
        "Install the package wireguard-tools (and openresolv where there is no resolvconf)",
        "sudo install -m 600 {file} /etc/wireguard/",
        "sudo wg-quick up {name}   (at every boot: sudo systemctl enable wg-quick@{name})",
    ),
}


def file_name(user: str, device: str, peer_id: str) -> str:
    """Return a file name that every client imports: at most 15 of `[a-z0-9_-]` and `.conf`, no Windows device name."""
    wish = user if device == "main" else f"{user}-{device}"
    if len(wish) > _NAME_LIMIT or _WINDOWS_DEVICES.fullmatch(wish):
        wish = f"{wish[:8].rstrip('-_')}-{hashlib.sha256(peer_id.encode()).hexdigest()[:6]}"
    return f"{wish}.conf"


def steps(platform: str, file: str) -> list[str]:
    """Return what to do on a platform to use the file."""
    return [step.format(file=file, name=file.removesuffix(".conf")) for step in _STEPS[platform]]


def all_steps(file: str) -> str:
    """Return the steps of every platform as a text."""
    titles = {"windows": "Windows", "ios": "iPhone, iPad", "android": "Android", "macos": "macOS", "linux": "Linux"}
    parts = []
    for platform in PLATFORMS:
        lines = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps(platform, file), 1))
        parts.append(f"{titles[platform]}\n{lines}")
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
