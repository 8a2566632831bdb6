"""Which form an app reads, by what it calls itself (`User-Agent`)."""

from __future__ import annotations

_KINDS = (
    ("sing-box", ("sing-box", "sfa/", "sfi/", "sfm/", "sft/", "karing/")),
    ("mihomo", ("clash", "mihomo", "stash/", "flclash", "sparkle/", "koala-clash")),
    ("amnezia", ("amnezia",)),
)
"""Form -> parts of the names of its apps, in small letters; all others read the list of links."""
USUAL = "base64"


def kind(agent: str) -> str:
    """Return the form for an app; who says nothing gets the list of links, which most apps read."""
    name = agent.lower()
    return next((form for form, parts in _KINDS if any(part in name for part in parts)), USUAL)


_PREVIEWS = (
    "telegrambot",
    "whatsapp",
    "facebookexternalhit",
    "twitterbot",
    "slackbot",
    "discordbot",
    "vkshare",
    "skypeuripreview",
)


def previews(agent: str) -> bool:
    """Return whether this looks at links that people send each other: it is nobody's device."""
    name = agent.lower()
    return any(part in name for part in _PREVIEWS)
