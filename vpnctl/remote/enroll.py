"""The first login at a server: with the operator's own means, once, to install the key of vpnctl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput, Unreachable
from vpnctl.remote import ssh
from vpnctl.remote.shell import Login, Shell
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret

_INSTALL = (
    'umask 077; mkdir -p ~/.ssh && f=~/.ssh/authorized_keys && touch "$f" && IFS= read -r line && '
    '{ [ -z "$(tail -c1 "$f")" ] || echo >>"$f"; } && { grep -qxF "$line" "$f" || printf "%s\\n" "$line" >>"$f"; }'
)
_REMOVE = (
    'f=$(getent passwd "$1" | cut -d: -f6)/.ssh/authorized_keys; IFS= read -r line; '
    'grep -vxF "$line" "$f" >"$f.vpnctl"; cat "$f.vpnctl" >"$f"; rm "$f.vpnctl"'
)


@dataclass(frozen=True)
class Means:
    """How the operator gets in: exactly one of them."""

    identity: Path | None = None
    password: Secret | None = None
    agent: bool = False

    def __bool__(self) -> bool:
        return bool(self.identity or self.password or self.agent)


def install_key(login: Login, means: Means, public_line: str, key: Secret) -> None:
    """Log in by `means` and add our public key to the login's authorized_keys (once, however often it is called)."""
    transport = ssh._open(login, key, pinned=True)
    try:
        _authenticate(transport, login, means)
        result = ssh.run(transport, login, f"bash -c {_quote(_INSTALL)}", f"{public_line}\n".encode(), 30)
        if result.status:
            raise Unreachable(f"{login.node}: cannot write ~/.ssh/authorized_keys: {_said(result.stderr)}")
    finally:
        transport.close()


def check_root(shell: Shell, login: Login) -> None:
    """Raise Unreachable unless commands of ours run as root there."""
    result = shell.run(("id", "-u"), seconds=20)
    if result.status or result.stdout.strip() != b"0":
        raise Unreachable(
            f"{login.node}: {login.user} is not root and `sudo -n` does not work there: {_said(result.stderr)}",
            f"on the node: echo '{login.user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/vpnctl",
        )


def remove_key(shell: Shell, login: Login, public_line: str) -> None:
    """Take our key out of the login's authorized_keys."""
    shell.run(("bash", "-c", _REMOVE, "vpnctl", login.user), f"{public_line}\n".encode(), 20)


def _authenticate(transport: Any, login: Login, means: Means) -> None:
    if means.password is not None:
        pk = ssh._paramiko()
        try:
            transport.auth_password(login.user, means.password.reveal())
        except pk.SSHException as error:
            raise Unreachable(
                f"{login.node}: the password is not accepted ({clean(str(error))})", "check user and password"
            ) from None
        return
    keys = [_from_file(means.identity)] if means.identity else _from_agent()
    for key in keys:
        try:
            ssh.authenticate(transport, login, key)
        except Unreachable:
            continue
        return
    source = str(means.identity) if means.identity else "of the SSH agent"
    raise Unreachable(
        f"{login.node}: no key ({source}) is accepted for {login.user}@{login.host}", "check the user name and the key"
    )


def _from_file(path: Path) -> Any:
    pk = ssh._paramiko()
    try:
        return pk.PKey.from_path(path)
    except FileNotFoundError:
        raise InvalidInput(f"there is no identity file {path}") from None
    except pk.PasswordRequiredException:
        raise InvalidInput(f"{path} has a passphrase", "load it into an agent (ssh-add) and give --agent") from None
    except (OSError, ValueError, TypeError, pk.SSHException, pk.UnknownKeyType) as error:
        raise InvalidInput(f"cannot use {path} as an identity: {clean(str(error))}") from None


def _from_agent() -> list[Any]:
    keys = list(ssh._paramiko().Agent().get_keys())
    if not keys:
        raise InvalidInput("the SSH agent has no keys", "ssh-add, or give --identity FILE")
    return keys


def _said(stderr: bytes) -> str:
    return clean(stderr.decode("utf-8", "replace").strip() or "it gave no reason")


def _quote(text: str) -> str:
    import shlex

    return shlex.quote(text)
