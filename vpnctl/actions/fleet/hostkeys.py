"""Which host key of a server a person or a file vouches for. No setting accepts all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vpnctl.errors import Distrust
from vpnctl.remote.shell import Login
from vpnctl.rules import grammar
from vpnctl.rules.secret import Secret

Confirm = Callable[[str], bool]
"""Shown a fingerprint, says whether a person vouches for it."""


@dataclass(frozen=True)
class Vouch:
    """What speaks for a host key; nothing: a person is asked."""

    host_key_fp: str | None = None
    known_hosts: str | None = None
    """The text of a known_hosts file."""


def pinned(login: Login, key: Secret | None, vouch: Vouch, confirm: Confirm) -> Login:
    """Return the login with the host key that a person or a file vouches for; Distrust otherwise."""

    from vpnctl.remote import ssh

    shown = _offered(login, key, vouch)
    print_ = ssh.fingerprint(shown)
    if vouch.host_key_fp is not None:
        if grammar.fingerprint(vouch.host_key_fp) != print_:
            raise Distrust(
                f"{login.host} shows host key {print_}, not {vouch.host_key_fp}",
                "compare with your provider's console; nothing was sent",
            )
    elif vouch.known_hosts is not None:
        if shown not in _known(vouch.known_hosts, login):
            raise Distrust(
                f"{login.host} shows host key {print_}, which the known_hosts file does not list for it",
                "give --host-key-fp SHA256:…",
            )
    elif not confirm(print_):
        raise Distrust(
            f"nobody vouches for the host key {print_} of {login.host}",
            f"give --host-key-fp {print_} if it is the right one",
        )
    return replace(login, host_key=shown)


def _offered(login: Login, key: Secret | None, vouch: Vouch) -> str:
    """Return the host key that was vouched for if the server has it, of whatever type; else the one it shows first."""
    from vpnctl.remote import ssh

    def vouched(shown: str) -> bool:
        if vouch.host_key_fp is not None:
            return ssh.fingerprint(shown) == grammar.fingerprint(vouch.host_key_fp)
        return vouch.known_hosts is None or shown in _known(vouch.known_hosts, login)

    first = grammar.host_key(ssh.scan(login, key))
    if vouched(first):
        return first
    kinds = [kind for kind in grammar.HOST_KEY_TYPES if kind != first.split()[0]]
    if vouch.host_key_fp is None and vouch.known_hosts is not None:
        listed = {line.split()[0] for line in _known(vouch.known_hosts, login)}
        kinds = [kind for kind in kinds if kind in listed]
    others = (ssh.scan(login, key, kind) for kind in kinds)
    return next((shown for shown in map(grammar.host_key, filter(None, others)) if vouched(shown)), first)


def _known(text: str, login: Login) -> list[str]:
    """Return the host keys that a known_hosts file lists for a host. Hashed names are understood, markers refuse."""
    from paramiko.hostkeys import HostKeys

    label = login.host if login.port == 22 else f"[{login.host}]:{login.port}"  # noqa: PLR2004
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0].startswith(("#", "@")):  # noqa: PLR2004
            continue
        for pattern in words[0].split(","):
            same = HostKeys.hash_host(label, pattern) == pattern if pattern.startswith("|1|") else pattern == label
            if same:
                found.append(f"{words[1]} {words[2]}")
    return found
