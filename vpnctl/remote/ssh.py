"""SSH on paramiko: one pinned connection per node and run, few round trips, deadlines of our own.

Measured (facts/performance): with TCP_NODELAY and TCP_QUICKACK on a socket of ours a connect costs a fifth of
paramiko's default. `recv_exit_status` ignores time-outs and can hang on undrained output, so both streams are
drained here and the deadline is ours.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vpnctl.errors import InvalidInput, NodeFailed, Unreachable
from vpnctl.remote.channel import paramiko_late, quietly, run
from vpnctl.remote.shell import COMMAND_SECONDS, CONNECT_SECONDS, FIRST_SECONDS, Hear, Login, Result, deaf
from vpnctl.remote.ssh_errors import again, changed, refused, unreachable
from vpnctl.rules.grammar import quoted
from vpnctl.rules.secret import Secret

if TYPE_CHECKING:
    import paramiko

_TCP_USER_TIMEOUT_MS = 15_000
_KEEPALIVE_SECONDS = 15


class _QuickSocket:
    """A socket that acknowledges at once; Linux forgets TCP_QUICKACK, so it is set again after each read."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    def recv(self, size: int) -> bytes:
        got = self._raw.recv(size)
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return got

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def fingerprint(host_key: str) -> str:
    """Return the SHA256 fingerprint of `TYPE BASE64`, as OpenSSH prints it."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def scan(login: Login, key: Secret | None = None, kind: str = "") -> str:
    """Return the host key that answers at `login`, unauthenticated: to be shown, compared, and pinned.

    A server has several; `kind` asks for one type. Empty when it has none of that type.
    """
    try:
        transport = _open(login, key, pinned=False, kind=kind, seconds=FIRST_SECONDS)
    except _NoSuchKey:
        return ""
    try:
        remote = transport.get_remote_server_key()
        return f"{remote.get_name()} {remote.get_base64()}"
    finally:
        transport.close()


class SshShell:
    """An authenticated connection to one node whose host key is the pinned one."""

    def __init__(self, login: Login, key: Secret, seconds: float = CONNECT_SECONDS) -> None:
        self._login = login
        self._transport = _open(login, key, pinned=True, seconds=seconds)
        try:
            authenticate(self._transport, login, load_key(key), seconds)
        except BaseException:
            self._transport.close()
            raise
        self._transport.set_keepalive(_KEEPALIVE_SECONDS)

    def run(
        self, argv: Sequence[str], stdin: bytes = b"", seconds: float = COMMAND_SECONDS, hear: Hear = deaf
    ) -> Result:
        """See `Shell.run`."""
        prefix = () if self._login.user == "root" else ("sudo", "-n")
        result = run(self._transport, self._login, (*prefix, *argv), stdin, seconds, hear)
        if not result.began:
            raise NodeFailed(
                f"{self._login.node}: the login of {self._login.user} runs something else than what it is told",
                "look at its shell and at `command=` in ~/.ssh/authorized_keys there",
            )
        return result

    def is_open(self) -> bool:
        """See `Shell.is_open`."""
        return bool(self._transport.is_active())

    def close(self) -> None:
        """See `Shell.close`."""
        quietly(self._transport.close)


def load_key(key: Secret) -> Any:
    """Return a paramiko key from OpenSSH private key text."""
    import io

    return paramiko_late().Ed25519Key.from_private_key(io.StringIO(key.reveal()))


class _NoSuchKey(Exception):  # noqa: N818
    """The server has no host key of the type that was asked for."""


def _open(
    login: Login, key: Secret | None, *, pinned: bool, kind: str = "", seconds: float = CONNECT_SECONDS
) -> paramiko.Transport:
    """Return a transport after key exchange, its host key compared with the pin before anything is sent.

    Not pinned, `kind` may ask for a type of host key. The TCP connection has CONNECT_SECONDS, what follows `seconds`.
    """
    pk = paramiko_late()
    end = time.monotonic() + seconds
    try:
        transport = pk.Transport(_dial(login, key))
    except (OSError, EOFError, pk.SSHException) as error:
        raise unreachable(login, error) from None
    try:
        transport.banner_timeout = transport.handshake_timeout = seconds
        kind = login.host_key.split()[0] if pinned else kind
        if kind:
            # A server with several keys shows the type that is asked for.
            wanted = ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]
            transport.get_security_options().key_types = wanted
        transport.start_client(timeout=max(0.1, end - time.monotonic()))
        remote = transport.get_remote_server_key()
    except (OSError, EOFError, pk.SSHException) as error:
        transport.close()
        if isinstance(error, pk.IncompatiblePeer) and "host key" in str(error):
            raise (
                changed(login, fingerprint(login.host_key), "none of that type") if pinned else _NoSuchKey()
            ) from None
        raise unreachable(login, error, seconds) from None
    except BaseException:
        transport.close()
        raise
    if pinned and f"{remote.get_name()} {remote.get_base64()}" != login.host_key:
        transport.close()
        raise changed(login, fingerprint(login.host_key), fingerprint(f"{remote.get_name()} {remote.get_base64()}"))
    return transport  # type: ignore[no-any-return]


def _dial(login: Login, key: Secret | None) -> Any:
    if login.via is not None:
        if key is None:
            raise InvalidInput(f"{login.node} lies behind {login.via.node}, which needs our key", "vpnctl init")
        hop = SshShell(login.via, key)
        channel = hop._transport.open_channel(
            "direct-tcpip", (login.host, login.port), ("127.0.0.1", 0), timeout=CONNECT_SECONDS
        )
        return _Hop(channel, hop)
    raw = socket.create_connection((login.host, login.port), timeout=CONNECT_SECONDS)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
    return _QuickSocket(raw)


class _Hop:
    """A channel through another node; closing it closes the connection to that node too."""

    def __init__(self, channel: Any, hop: SshShell) -> None:
        self._channel = channel
        self._hop = hop

    def close(self) -> None:
        quietly(self._channel.close)
        quietly(self._hop.close)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def authenticate(transport: paramiko.Transport, login: Login, key: Any, seconds: float = CONNECT_SECONDS) -> None:
    """Log in with our own key; Unreachable with the line to install when it is not taken."""
    pk = paramiko_late()
    transport.auth_timeout = seconds
    try:
        left = transport.auth_publickey(login.user, key)
    except pk.AuthenticationException as error:
        raise refused(
            login,
            error,
            seconds,
            f"{login.user}@{login.host} does not accept our SSH key",
            f"{again(login)} --identity FILE (or --password-stdin, --agent) installs it, or add the line of "
            "`vpnctl node key` there",
        ) from None
    except (OSError, EOFError, pk.SSHException) as error:
        raise unreachable(login, error) from None
    if left:
        raise Unreachable(
            f"{login.node}: after our key the server wants a second factor: {quoted(', '.join(left), 100)}",
            "let the key of vpnctl in alone: AuthenticationMethods in sshd_config there",
        )
