"""What every node needs whatever its protocols are: forwarding, and the unit that loads our firewall files."""

from __future__ import annotations

import hashlib

from vpnctl.rules.desired import File
from vpnctl.rules.secret import Secret

SYSCTL = "/etc/sysctl.d/60-vpnctl.conf"
SYSCTL_LIVE = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
FIREWALL_UNIT = "/etc/systemd/system/vpnctl-firewall@.service"
FOLDERS = ("/etc/vpnctl/xray", "/run/vpnctl-cores")
"""Folders of ours below those that every node has."""
TOKEN = "/var/lib/vpnctl/token"  # noqa: S105 - a path, not a password

_SYSCTL_TEXT = "net.ipv4.ip_forward = 1\n-net.ipv6.conf.all.forwarding = 1\n"

_FIREWALL_TEXT = """\
[Unit]
Description=vpnctl firewall of %i
After=nftables.service ufw.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f /etc/vpnctl/%i.nft
ExecReload=/usr/sbin/nft -f /etc/vpnctl/%i.nft
ExecStop=-/usr/sbin/nft delete table inet vpnctl_%i

[Install]
WantedBy=multi-user.target
"""


def system_files() -> tuple[File, ...]:
    """Return the files of a node that serves anything."""
    return tuple(
        File(path, "644", Secret(text), hashlib.sha256(text.encode()).hexdigest())
        for path, text in ((SYSCTL, _SYSCTL_TEXT), (FIREWALL_UNIT, _FIREWALL_TEXT))
    )
