"""What names resolve to, as this machine sees it."""

from __future__ import annotations

import socket


def addresses(name: str) -> set[str]:
    """Return the addresses of a host name now, none where it does not resolve; an address is itself."""
    try:
        return {str(each[4][0]) for each in socket.getaddrinfo(name, None, proto=socket.IPPROTO_UDP)}
    except (OSError, UnicodeError):
        return set()
