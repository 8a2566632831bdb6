"""Random texts that let somebody in, and what is kept of them: so random that a plain hash tells nothing."""

from __future__ import annotations

import hashlib
import re
import secrets

from vpnctl.rules.secret import Secret

BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def fresh(prefix: str = "") -> Secret:
    """Return a new token: 32 random bytes as 43 letters that an address may hold, behind `prefix`."""
    return Secret(prefix + secrets.token_urlsafe(BYTES))


def digest(token: str, prefix: str = "") -> str | None:
    """Return the SHA-256 of a token, in hex; None for what cannot be one: nothing is looked up for it."""
    bare = token.removeprefix(prefix) if token.startswith(prefix) else ""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(bare) else None
