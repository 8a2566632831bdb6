"""What a person receives: the file, its name, the QR code, and the steps for each platform."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any

from vpnctl import protocols
from vpnctl.errors import InvalidInput
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import ClientApp
from vpnctl.rules.secret import Secret
from vpnctl.texts.words import Words

_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])")
_NAME_LIMIT = 15
"""wg-quick and Android take at most 15 characters of `[a-zA-Z0-9_=+.-]` as the name of a tunnel."""

TITLES = {"windows": "Windows", "ios": "iPhone, iPad", "android": "Android", "macos": "macOS", "linux": "Linux"}


def file_name(protocol: str, user: str, device: str, peer_id: str) -> str:
    """Return a file name that every client imports: at most 15 of `[a-z0-9_-]` and the protocol's end.

    Never a device name of Windows.
    """
    wish = user if device == "main" else f"{user}-{device}"
    if len(wish) > _NAME_LIMIT or _WINDOWS_DEVICES.fullmatch(wish):
        wish = f"{wish[:8].rstrip('-_')}-{hashlib.sha256(peer_id.encode()).hexdigest()[:6]}"
    return f"{wish}{plugin(protocol).suffix}"


def stem(file: str) -> str:
    """Return a file's name without its end."""
    return file.rpartition(".")[0]


def usual() -> str:
    """Return the protocol that people get who name none."""
    return protocols.usual()


def app_name(protocol: str) -> str:
    """Return what people call a protocol."""
    return plugin(protocol).title


def app(protocol: str, platform: str) -> ClientApp:
    """Return the app that reads a protocol's files on a platform."""
    return plugin(protocol).apps[platform]


def readers(protocol: str, options: Mapping[str, Any]) -> str:
    """Return the apps that read what a device gets, the one that fits best first."""
    return ", ".join(plugin(protocol).readers(options))


def steps(protocol: str, platform: str, file: str, words: Words | None = None) -> list[str]:
    """Return what to do on a platform to use the file, in English unless told."""
    said = words or Words()
    return [said.say(step, file=file, name=stem(file)) for step in app(protocol, platform).steps]


def all_steps(protocol: str, file: str) -> str:
    """Return the steps of every platform as a text."""
    parts = []
    for platform in plugin(protocol).apps:
        lines = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps(protocol, platform, file), 1))
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
