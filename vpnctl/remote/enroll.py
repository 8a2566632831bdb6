"""The first login at a server: with the operator's own means, once, to install the key of vpnctl."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput, Unreachable
from vpnctl.remote import channel, ssh, ssh_errors
from vpnctl.remote.shell import FIRST_SECONDS, Login, Result, Shell
from vpnctl.rules.grammar import quoted
from vpnctl.rules.secret import Secret

_INSTALL = (
    'umask 077; mkdir -p ~/.ssh && f=~/.ssh/authorized_keys && touch "$f" && IFS= read -r line && '
    '{ [ -z "$(tail -c1 "$f")" ] || echo >>"$f"; } && { grep -qxF "$line" "$f" || printf "%s\\n" "$line" >>"$f"; }'
)
_REMOVE = (
    'f=$(getent passwd "$1" | cut -d: -f6)/.ssh/authorized_keys; IFS= read -r line; '
    'grep -vxF "$line" "$f" >"$f.vpnctl"; cat "$f.vpnctl" >"$f"; rm "$f.vpnctl"'
)
_PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ AAAA")


@dataclass(frozen=True)
class Means:
    """How the operator gets in: exactly one of them."""

    identity: Path | None = None
    password: Secret | None = None
    agent: bool = False

    def __bool__(self) -> bool:
        return bool(self.identity or self.password or self.agent)


def install_key(login: Login, means: Means, public_line: str, key: Secret) -> None:
    """Log in by `means` and add our public key to the login's authorized_keys (once, however often it is called).

    Raises Unreachable with what the server said, InvalidInput when the means cannot be used.
    """
    offered = _keys(means)
    transport = ssh._open(login, key, pinned=True, seconds=FIRST_SECONDS)
    try:
        _authenticate(transport, login, means, offered)
        result = channel.run(transport, login, ("bash", "-c", _INSTALL), f"{public_line}\n".encode(), FIRST_SECONDS)
        if not result.began:
            raise _runs_something_else(login, result)
        if result.status:
            raise Unreachable(
                f"{login.node}: cannot write ~/.ssh/authorized_keys: {_said(result.stderr)}",
                "who owns that folder, and is there space?",
            )
    finally:
        transport.close()


def check_root(shell: Shell, login: Login) -> None:
    """Raise Unreachable unless commands of ours run as root there: what is tried is what will be run."""
    sudoer = f"on the node: echo '{login.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/vpnctl"
    try:
        result = shell.run(("bash", "-c", "id -u"), seconds=FIRST_SECONDS)
    except Unreachable as error:
        if login.user == "root":
            raise
        raise Unreachable(
            f"{login.node}: `sudo -n` gave no answer within {FIRST_SECONDS:g} s ({error.what})",
            'does the server know its own name? On the node: echo "127.0.1.1 $(hostname)" >> /etc/hosts',
        ) from None
    if result.status or result.stdout.strip() != b"0":
        raise Unreachable(
            f"{login.node}: {login.user} is not root and `sudo -n bash` does not work there: {_said(result.stderr)}",
            sudoer,
        )


def remove_key(shell: Shell, login: Login, public_line: str) -> None:
    """Take our key out of the login's authorized_keys."""
    shell.run(("bash", "-c", _REMOVE, "vpnctl", login.user), f"{public_line}\n".encode(), 20)


def _runs_something_else(login: Login, result: Result) -> Unreachable:
    """A forced command, as cloud images have it for root. No secret of ours is on that server yet: it may be quoted."""
    said = quoted((result.before + b"\n" + result.stderr).decode("utf-8", "replace"))
    return Unreachable(
        f"{login.node}: the server lets {login.user} in but runs a command of its own; it says: {said or 'nothing'}",
        "log in as the user that it names: vpnctl node add NAME USER@HOST",
    )


def _keys(means: Means) -> list[Any]:
    if means.identity is not None:
        return [_from_file(means.identity)]
    return _from_agent() if means.agent else []


def _authenticate(transport: Any, login: Login, means: Means, keys: Sequence[Any]) -> None:
    pk = channel.paramiko_late()
    transport.auth_timeout = FIRST_SECONDS
    left: list[str] = []
    if means.password is not None:
        try:
            left = transport.auth_password(login.user, means.password.reveal())
        except pk.BadAuthenticationType as error:
            raise Unreachable(
                f"{login.node}: the server takes no passwords; it takes: {_types(error.allowed_types)}",
                "give --identity FILE or --agent",
            ) from None
        except pk.AuthenticationException as error:
            raise ssh_errors.refused(login, error, FIRST_SECONDS, "the password is not accepted", "check it") from None
        except (OSError, EOFError, pk.SSHException) as error:
            raise ssh_errors.unreachable(login, error) from None
    else:
        left = _by_key(transport, login, means, keys)
    if left:
        raise Unreachable(
            f"{login.node}: after the {'password' if means.password else 'key'} the server wants a second factor: "
            f"{_types(left)}",
            "add the line of `vpnctl node key` to ~/.ssh/authorized_keys there by hand, and let that key in alone",
        )


def _by_key(transport: Any, login: Login, means: Means, keys: Sequence[Any]) -> list[str]:
    """Try the keys; return what else the server wants. Raises Unreachable when it takes none of them."""
    pk = channel.paramiko_late()
    last: BaseException | None = None
    for key in keys:
        try:
            return list(transport.auth_publickey(login.user, key))
        except pk.AuthenticationException as error:
            last = error
            if not transport.is_active():
                break
        except (OSError, EOFError, pk.SSHException) as error:
            raise ssh_errors.unreachable(login, error) from None
    source = str(means.identity) if means.identity else "of the SSH agent"
    what = f"no key ({source}) is accepted for {login.user}@{login.host}"
    raise ssh_errors.refused(login, last, FIRST_SECONDS, what, "check the user name and the key") from None


def _types(names: Sequence[str]) -> str:
    return quoted(", ".join(names), 100)


def _from_file(path: Path) -> Any:
    pk = channel.paramiko_late()
    try:
        head = path.read_bytes()[:200].decode("utf-8", "replace")
        if head.startswith("PuTTY-User-Key-File"):
            raise InvalidInput(
                f"{path} is a key of PuTTY's", f"puttygen {path} -O private-openssh -o KEY, then --identity KEY"
            )
        if _PUBLIC_KEY.match(head):
            raise InvalidInput(f"{path} is a public key", f"give the private one: --identity {path.with_suffix('')}")
        return pk.PKey.from_path(path)
    except FileNotFoundError:
        raise InvalidInput(f"there is no identity file {path}", "check the path") from None
    except pk.PasswordRequiredException:
        raise InvalidInput(f"{path} has a passphrase", "load it into an agent (ssh-add) and give --agent") from None
    except (OSError, ValueError, TypeError, pk.SSHException, pk.UnknownKeyType) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidInput(
            f"cannot use {path} as an identity ({why})", "it must be a private key as ssh-keygen writes them"
        ) from None


def _from_agent() -> list[Any]:
    keys = list(channel.paramiko_late().Agent().get_keys())
    if not keys:
        raise InvalidInput("the SSH agent has no keys", "ssh-add, or give --identity FILE")
    return keys


def _said(stderr: bytes) -> str:
    return quoted(stderr.decode("utf-8", "replace")) or "it gave no reason"
