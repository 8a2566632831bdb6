"""What input may look like. Allow-lists, `fullmatch`, ASCII; values come back re-serialised, never echoed.

A newline in a name must never reach wg-quick, where it would be a root command (facts F31b), and Python's
`ipaddress` accepts newlines in IPv6 scope ids (F34): everything that enters the system passes through here.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import unicodedata
from dataclasses import dataclass

from vpnctl.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_INTERFACE = re.compile(r"[a-z][a-z0-9]{0,14}")
_LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_DIGITS = re.compile(r"[0-9]{1,6}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
_BARE_FINGERPRINT = re.compile(r"[A-Za-z0-9+/]{43}=?")
_MD5 = re.compile(r"(MD5:)?([0-9a-fA-F]{2}:){15}[0-9a-fA-F]{2}")
_CHAT = re.compile(r"-?[0-9]{1,16}")
BOT_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{30,80}")
URL = re.compile(r"https?://[A-Za-z0-9._~%:\[\]-]+(/[A-Za-z0-9._~%/:@!$&'()*+,;=?-]*)?")
HOST_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")

IPv4Or6 = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
KEY_BYTES = 32
MAX_PORT = 65535
MAX_TEXT = 64
MAX_HOST = 253
MIN_MTU, MAX_MTU = 1280, 9000
MAX_SHOWN = 300


def name(text: str, what: str = "name") -> str:
    """Return `text` if it is a name: lower-case ASCII letters, digits, `_`, `-`; at most 32 characters."""
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"'{clean(text)}' is not a valid {what}",
            "use 1 to 32 of a-z 0-9 _ - and begin with a letter or digit",
        )
    return text


def interface(text: str) -> str:
    """Return `text` if it is an interface name: a lower-case letter, then letters and digits, 15 at most."""
    if not _INTERFACE.fullmatch(text):
        raise InvalidInput(f"'{clean(text)}' is not a valid interface name", "for example wg0")
    return text


def login(text: str) -> str:
    """Return `text` if it is a user name of a server."""
    if not _LOGIN.fullmatch(text):
        raise InvalidInput(f"'{clean(text)}' is not a valid login name", "for example root or debian")
    return text


def url(text: str) -> str:
    """Return an address of the web, without a slash at its end."""
    if not URL.fullmatch(text):
        raise InvalidInput("expected http://… or https://…")
    return text.rstrip("/")


def whole(text: str, what: str, low: int, high: int) -> int:
    """Return the number that `text` writes in ASCII digits, between `low` and `high`."""
    if not _DIGITS.fullmatch(text) or not low <= int(text) <= high:
        raise InvalidInput(f"'{clean(text)}' is not a valid {what}", f"a whole number from {low} to {high}")
    return int(text)


def port(text: str) -> int:
    """Return the port number that `text` writes."""
    return whole(text, "port", 1, MAX_PORT)


def address(text: str) -> IPv4Or6:
    """Return the IP address that `text` writes. Scope ids (`%…`) are refused."""
    if "%" not in text and text.isascii():
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            pass
    raise InvalidInput(f"'{clean(text)}' is not an IP address", "for example 10.8.0.2 or fd00::2")


def network(text: str) -> Network:
    """Return the network that `text` writes; host bits must be zero."""
    if "%" not in text and text.isascii():
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            pass
    raise InvalidInput(f"'{clean(text)}' is not a network", "for example 10.8.0.0/24 or fd00::/64, host bits zero")


def networks(text: str) -> str:
    """Return a comma list of networks, re-serialised with `, ` between them."""
    return ", ".join(str(network(part.strip())) for part in text.split(","))


def is_address(text: str) -> bool:
    """Whether it is an address and no name."""
    try:
        address(text)
    except InvalidInput:
        return False
    return True


def addresses(text: str) -> str:
    """Return a comma list of addresses, re-serialised with `, ` between them; empty stays empty."""
    return ", ".join(str(address(part.strip())) for part in text.split(",")) if text.strip() else ""


def host(text: str) -> str:
    """Return a host name (lower-case ASCII) or an IP address that clients or we can dial."""
    if text.isascii() and len(text) <= MAX_HOST:
        if ":" in text:
            bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
            return str(address(bare))
        lowered = text.lower().removesuffix(".")
        labels = lowered.split(".")
        if labels and labels[-1].isdigit():
            return str(address(lowered))
        if all(_LABEL.fullmatch(label) for label in labels):
            return lowered
    raise InvalidInput(f"'{clean(text)}' is not a host name or address", "for example vpn.example.org or 192.0.2.7")


@dataclass(frozen=True)
class SshTarget:
    """Where to log in."""

    host: str
    port: int
    login: str


def target(text: str) -> SshTarget:
    """Return what `[USER@]HOST[:PORT]` means; user `root` and port 22 unless told. IPv6 with port: `[::1]:22`."""
    user, at, rest = text.rpartition("@")
    number = 22
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", rest, re.DOTALL)
    if bracketed:
        rest = bracketed[1]
        number = port(bracketed[2]) if bracketed[2] is not None else 22
    elif rest.count(":") == 1:
        rest, _, digits = rest.partition(":")
        number = port(digits)
    return SshTarget(host(rest), number, login(user) if at else "root")


def key(text: str, what: str = "WireGuard key") -> str:
    """Return a 32 byte key in canonical base64 (44 characters), not all zero."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES or base64.b64encode(raw).decode() != text or not any(raw):
        raise InvalidInput(f"that is not a valid {what}", "44 characters of base64, as `wg pubkey` prints")
    return text


def host_key(text: str) -> str:
    """Return an SSH public host key as `TYPE BASE64`, without its comment."""
    words = text.split()
    if len(words) >= 2 and words[0] in HOST_KEY_TYPES:  # noqa: PLR2004
        try:
            blob = base64.b64decode(words[1], validate=True)
        except (binascii.Error, ValueError):
            blob = b""
        if blob[4 : 4 + len(words[0])] == words[0].encode():
            return f"{words[0]} {base64.b64encode(blob).decode()}"
    raise InvalidInput("that is not an SSH host key", "for example: ssh-ed25519 AAAAC3Nza…")


def fingerprint(text: str) -> str:
    """Return a host key fingerprint in OpenSSH's form, `SHA256:` and 43 characters."""
    if _BARE_FINGERPRINT.fullmatch(text):
        text = f"SHA256:{text}"
    if _MD5.fullmatch(text):
        raise InvalidInput("that is an MD5 fingerprint", "give the SHA256 one: ssh-keygen -lf KEY.pub")
    if not _FINGERPRINT.fullmatch(text):
        raise InvalidInput(
            f"'{clean(text)}' is not a host key fingerprint", "for example SHA256:… as ssh-keygen -lf prints"
        )
    return text.removesuffix("=")


def telegram_chat(text: str) -> int:
    """Return the id of a Telegram chat or user; groups have negative ones."""
    if not _CHAT.fullmatch(text):
        raise InvalidInput(f"'{clean(text)}' is not a Telegram id", "a number; usernames are not ids")
    return int(text)


def reference(text: str) -> str:
    """Return a payment's reference: 1 to 64 printable ASCII characters without spaces."""
    if not re.fullmatch(r"[!-~]{1,64}", text):
        raise InvalidInput(f"'{clean(text)}' is not a payment reference", "1 to 64 characters, no spaces")
    return text


def package_version(text: str) -> tuple[str, str]:
    """Return (name, version) of a package: NAME, or NAME=VERSION; Debian's letters for both."""
    name, _, version = text.partition("=")
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]{0,79}", name) or not re.fullmatch(r"[A-Za-z0-9.+~:-]{0,80}", version):
        raise InvalidInput(f"'{clean(text)}' is not a package", "NAME, or NAME=VERSION")
    return name, version


def forward_rule(text: str) -> str:
    """Return `auto` or `none`: whether provisioning may open the host's own firewall for our packets."""
    if text not in ("auto", "none"):
        raise InvalidInput(f"'{clean(text)}' is not a way to treat the host's firewall", "auto or none")
    return text


def message(text: str, limit: int = 3500) -> str:
    """Return a message to people: any script, line breaks allowed, no other control characters."""
    normal = unicodedata.normalize("NFC", text).strip()
    bad = any(unicodedata.category(letter) in ("Cc", "Cs") and letter != "\n" for letter in normal)
    if bad or not 0 < len(normal) <= limit:
        raise InvalidInput("that is not a message", f"1 to {limit} characters, line breaks but no control characters")
    return normal


def free_text(text: str, what: str = "text") -> str:
    """Return a display text: any script, no control or direction characters, NFC, at most 64 characters."""
    normal = unicodedata.normalize("NFC", text).strip()
    if len(normal) > MAX_TEXT or any(
        unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in normal
    ):
        raise InvalidInput(f"that is not a valid {what}", f"at most {MAX_TEXT} characters, no control characters")
    return normal


def display_name(text: str) -> str:
    """Return what is left of a stranger's name: no control or direction characters, at most 64, maybe nothing."""
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(
        letter for letter in normal if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    return " ".join(kept.split())[:MAX_TEXT].strip()


def clean(text: str, limit: int = MAX_SHOWN) -> str:
    """Return `text` fit for a terminal: control and format characters shown as escapes, length capped."""
    shown = "".join(
        letter if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else ascii(letter)[1:-1]
        for letter in text[: limit + 1]
    )
    return shown if len(text) <= limit else shown[:limit] + "…"


_KEY_LIKE = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
"""Any key of ours is longer than this in base64 or hex; few other words are."""


def quoted(text: str, limit: int = MAX_SHOWN) -> str:
    """Return what a server said, fit to be shown and kept: in one line, and what looks like a key masked.

    For reasons only (stderr, what a failed step said, SSH messages). What a node tells of itself is never quoted.
    """
    return clean(" ".join(_KEY_LIKE.sub("***", text).split()), limit)


@dataclass(frozen=True)
class PeerRef:
    """How a peer is named on the command line: `USER[/DEVICE][@NODE]`."""

    user: str
    device: str | None
    node: str | None

    def __str__(self) -> str:
        return self.user + (f"/{self.device}" if self.device else "") + (f"@{self.node}" if self.node else "")


def peer_ref(text: str) -> PeerRef:
    """Return what `USER[/DEVICE][@NODE]` means."""
    rest, at, node = text.partition("@")
    user, slash, device = rest.partition("/")
    return PeerRef(
        name(user, "user name"),
        name(device, "device name") if slash else None,
        name(node, "node name") if at else None,
    )
