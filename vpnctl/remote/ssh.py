"""SSH on paramiko: one pinned connection per node and run, few round trips, deadlines of our own.

Measured (facts/performance): with TCP_NODELAY and TCP_QUICKACK on a socket of ours a connect costs a fifth of
paramiko's default. `recv_exit_status` ignores time-outs and can hang on undrained output, so both streams are
drained here and the deadline is ours.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vpnctl.errors import Distrust, InvalidInput, NodeFailed, Unreachable, VpnctlError
from vpnctl.remote.shell import COMMAND_SECONDS, CONNECT_SECONDS, OUTPUT_CAP, Login, Result
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret

if TYPE_CHECKING:
    import paramiko

_TCP_USER_TIMEOUT_MS = 15_000
_KEEPALIVE_SECONDS = 15
_CHUNK = 1 << 16
_TICK = 0.2


def _paramiko() -> Any:
    """Import paramiko without `invoke`, an optional extra of its config parser that costs a third of the import."""
    missing = "invoke" not in sys.modules
    if missing:
        sys.modules["invoke"] = None  # type: ignore[assignment]
    try:
        import paramiko
    finally:
        if missing:
            del sys.modules["invoke"]
    return paramiko


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


def scan(login: Login, key: Secret | None = None) -> str:
    """Return the host key that answers at `login`, unauthenticated: to be shown, compared, and pinned."""
    transport = _open(login, key, pinned=False)
    try:
        remote = transport.get_remote_server_key()
        return f"{remote.get_name()} {remote.get_base64()}"
    finally:
        transport.close()


class SshShell:
    """An authenticated connection to one node whose host key is the pinned one."""

    def __init__(self, login: Login, key: Secret) -> None:
        self._login = login
        self._transport = _open(login, key, pinned=True)
        try:
            authenticate(self._transport, login, load_key(key))
        except BaseException:
            self._transport.close()
            raise
        self._transport.set_keepalive(_KEEPALIVE_SECONDS)

    def run(self, argv: Sequence[str], stdin: bytes = b"", seconds: float = COMMAND_SECONDS) -> Result:
        """See `Shell.run`."""
        prefix = () if self._login.user == "root" else ("sudo", "-n")
        return run(self._transport, self._login, shlex.join((*prefix, *argv)), stdin, seconds)

    def close(self) -> None:
        """See `Shell.close`."""
        _quietly(self._transport.close)


def load_key(key: Secret) -> Any:
    """Return a paramiko key from OpenSSH private key text."""
    import io

    return _paramiko().Ed25519Key.from_private_key(io.StringIO(key.reveal()))


def _open(login: Login, key: Secret | None, *, pinned: bool) -> paramiko.Transport:
    """Return a transport after key exchange, its host key compared with the pin before anything is sent."""
    pk = _paramiko()
    end = time.monotonic() + CONNECT_SECONDS
    try:
        transport = pk.Transport(_dial(login, key))
    except (OSError, EOFError, pk.SSHException) as error:
        raise _unreachable(login, error) from None
    try:
        transport.banner_timeout = transport.handshake_timeout = CONNECT_SECONDS
        if pinned:
            # Ask for the pinned type first, or a server with several keys shows another one.
            kind = login.host_key.split()[0]
            wanted = ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else [kind]
            transport.get_security_options().key_types = wanted
        transport.start_client(timeout=max(0.1, end - time.monotonic()))
        remote = transport.get_remote_server_key()
    except (OSError, EOFError, pk.SSHException) as error:
        transport.close()
        if isinstance(error, pk.IncompatiblePeer) and "host key" in str(error):
            raise _changed(login, "none of that type") from None
        raise _unreachable(login, error) from None
    except BaseException:
        transport.close()
        raise
    if pinned and f"{remote.get_name()} {remote.get_base64()}" != login.host_key:
        transport.close()
        raise _changed(login, fingerprint(f"{remote.get_name()} {remote.get_base64()}"))
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
        _quietly(self._channel.close)
        _quietly(self._hop.close)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def authenticate(transport: paramiko.Transport, login: Login, key: Any) -> None:
    """Log in with a key; Distrust-free failure: Unreachable with the line to install."""
    pk = _paramiko()
    transport.auth_timeout = CONNECT_SECONDS
    try:
        transport.auth_publickey(login.user, key)
    except pk.AuthenticationException:
        raise Unreachable(
            f"{login.node}: {login.user}@{login.host} does not accept our SSH key",
            "give --identity FILE, --password-stdin or --agent once, or add the line of `vpnctl node key` there",
        ) from None
    except (OSError, EOFError, pk.SSHException) as error:
        raise _unreachable(login, error) from None


def run(transport: paramiko.Transport, login: Login, command: str, stdin: bytes, seconds: float) -> Result:
    """Run one command line on an authenticated transport. See `Shell.run`."""
    pk = _paramiko()
    end = time.monotonic() + seconds
    try:
        channel = transport.open_session(timeout=CONNECT_SECONDS)
    except (OSError, EOFError, pk.SSHException) as error:
        raise _unreachable(login, error) from None
    try:
        channel.settimeout(_TICK)
        channel.exec_command(command)
        feeder = threading.Thread(target=_feed, args=(channel, stdin, end), daemon=True)
        feeder.start()
        stdout, stderr = _drain(channel, login, end, seconds)
        if not channel.status_event.wait(max(0.0, end - time.monotonic())) or channel.exit_status < 0:
            raise Unreachable(f"{login.node}: the connection broke", f"vpnctl node check {login.node}")
        return Result(channel.exit_status, stdout, stderr)
    except (OSError, EOFError, pk.SSHException) as error:
        raise _unreachable(login, error) from None
    finally:
        _quietly(channel.close)


def _quietly(close: Callable[[], None]) -> None:
    """Close what may be closed or broken already; paramiko then raises even EOFError."""
    with contextlib.suppress(OSError, EOFError, _paramiko().SSHException):
        close()


def _feed(channel: Any, stdin: bytes, end: float) -> None:
    view = memoryview(stdin)
    try:
        while view and time.monotonic() < end:
            try:
                view = view[channel.send(view[:_CHUNK]) :]
            except TimeoutError:
                continue
        channel.shutdown_write()
    except (OSError, EOFError):
        return  # the reader learns of it, with the reason


def _drain(channel: Any, login: Login, end: float, seconds: float) -> tuple[bytes, bytes]:
    """Read both streams until the command closes them."""
    streams: tuple[list[bytes], list[bytes]] = ([], [])
    total = 0
    while True:
        idle = True
        for ready, recv, parts in (
            (channel.recv_ready, channel.recv, streams[0]),
            (channel.recv_stderr_ready, channel.recv_stderr, streams[1]),
        ):
            while ready():
                got = recv(_CHUNK)
                parts.append(got)
                total += len(got)
                idle = False
                if total > OUTPUT_CAP:
                    raise NodeFailed(f"{login.node} sent more than {OUTPUT_CAP} bytes", "is that machine healthy?")
        if time.monotonic() > end:
            raise Unreachable(f"{login.node}: no answer within {seconds:g} s", f"vpnctl node check {login.node}")
        if idle:
            if channel.closed or (channel.eof_received and channel.exit_status_ready()):
                if not (channel.recv_ready() or channel.recv_stderr_ready()):
                    return b"".join(streams[0]), b"".join(streams[1])
                continue
            try:
                got = channel.recv(_CHUNK)
                streams[0].append(got)
                total += len(got)
                if not got:
                    time.sleep(0.002)
            except TimeoutError:
                continue


def _unreachable(login: Login, error: BaseException) -> VpnctlError:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        text = f"no answer within {CONNECT_SECONDS:g} s"
    return Unreachable(
        f"{login.node}: cannot reach {login.host} port {login.port}: {clean(text)}",
        "look at the provider's console: is it running, is its address right, does a firewall drop port "
        f"{login.port}? What was saved is made there when it is back",
    )


def _changed(login: Login, shown: str) -> Distrust:
    return Distrust(
        f"{login.node}: the host key of {login.host} changed: pinned {fingerprint(login.host_key)}, now {shown}",
        f"was the server reinstalled? Compare at your provider, then: vpnctl node trust {login.node} --host-key-fp …",
    )
