"""What one node must look like."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface

from vpnctl.rules.secret import Secret


@dataclass(frozen=True)
class File:
    """A whole file as it must be on the node. `text` may hold keys; `mode` is octal text such as `600`."""

    path: str
    mode: str
    text: Secret
    digest: str
    """sha256 of the text, hex."""


@dataclass(frozen=True)
class Identity:
    """One peer as the node's live state must have it."""

    key: str
    psk: Secret | None
    allowed_ips: frozenset[str]


@dataclass(frozen=True)
class Link:
    """One endpoint as it must be on the node."""

    endpoint_id: str
    protocol: str
    tool: str
    interface: str
    port: int
    mtu: int
    public_key: str
    config: File
    firewall: File
    drop_in: File | None
    """Extra lines for our firewall unit on hosts whose own firewall drops what is forwarded."""
    unit: str
    forward_rule: str
    """`none`, `docker`, `ufw` or `iptables`: whose firewall on the host must let our packets pass."""
    peers: dict[str, Identity]
    addresses: tuple[str, ...]
    """The interface's own addresses with their prefix lengths; each brings the route to its network."""
    cut: frozenset[str]
    """Keys of ours that must not be there."""
    removed: bool = False

    @property
    def routes(self) -> tuple[str, ...]:
        """The networks whose packets must find the interface."""
        return tuple(str(ip_interface(each).network) for each in self.addresses)


@dataclass(frozen=True)
class Desired:
    """What one node must look like."""

    links: tuple[Link, ...]
    system_files: tuple[File, ...]
    packages: tuple[tuple[str, str], ...]
    """(Debian package, program that it brings); what counts is that the program is there."""
    sealed: tuple[str, ...] = ()
    """Devices (`user/device`) whose secrets do not open: they are left out, and named."""
