"""One command on an SSH connection: what goes in, what comes back, and when it has taken too long."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vpnctl.errors import NodeFailed, Unreachable
from vpnctl.remote.shell import CONNECT_SECONDS, OUTPUT_CAP, Hear, Login, Result, deaf
from vpnctl.remote.ssh_errors import unreachable

if TYPE_CHECKING:
    import paramiko


_CHUNK = 1 << 16


_NOT_THE_FIRST = ("env", "SHLVL=2")


_TICK = 0.2


def run(
    transport: paramiko.Transport,
    login: Login,
    argv: Sequence[str],
    stdin: bytes,
    seconds: float,
    hear: Hear = deaf,
) -> Result:
    """Run one command on an authenticated transport. See `Shell.run`; here `began` may be false.

    A mark is printed first: what a login shell says before it (a .bashrc with an `echo`) is not of the command. The
    line means the same to every shell that people have as their login's. SHLVL tells a bash below it that it is not
    the first one of the login, or it would read .bashrc once more.
    """
    mark = f"vpnctl-{secrets.token_hex(8)}"
    pk = paramiko_late()
    end = time.monotonic() + seconds
    try:
        channel = transport.open_session(timeout=CONNECT_SECONDS)
    except (OSError, EOFError, pk.SSHException) as error:
        raise unreachable(login, error) from None
    try:
        channel.settimeout(_TICK)
        channel.exec_command(f"echo {mark}; {shlex.join((*_NOT_THE_FIRST, *argv))}")
        feeder = threading.Thread(target=_feed, args=(channel, stdin, end), daemon=True)
        feeder.start()
        stdout, stderr = _drain(channel, login, end, seconds, hear)
        if not channel.status_event.wait(max(0.0, end - time.monotonic())) or channel.exit_status < 0:
            raise Unreachable(f"{login.node}: the connection broke", login.check)
        before, began, after = stdout.partition(f"{mark}\n".encode())
        return Result(channel.exit_status, after, stderr, bool(began), before)
    except (OSError, EOFError, pk.SSHException) as error:
        raise unreachable(login, error) from None
    finally:
        quietly(channel.close)


def quietly(close: Callable[[], None]) -> None:
    """Close what may be closed or broken already; paramiko then raises even EOFError."""
    with contextlib.suppress(OSError, EOFError, paramiko_late().SSHException):
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


def _drain(channel: Any, login: Login, end: float, seconds: float, hear: Hear) -> tuple[bytes, bytes]:
    """Read both streams until the command closes them; `hear` is told what stdout says."""
    out: list[bytes] = []
    err: list[bytes] = []

    def heard(got: bytes) -> bytes:
        out.append(got)
        hear(got)
        return got

    left = OUTPUT_CAP
    while True:
        before = left
        while channel.recv_ready() and left >= 0:
            left -= len(heard(channel.recv(_CHUNK)))
        while channel.recv_stderr_ready() and left >= 0:
            err.append(channel.recv_stderr(_CHUNK))
            left -= len(err[-1])
        if left < 0:
            raise NodeFailed(f"{login.node} sent more than {OUTPUT_CAP} bytes", "is that machine healthy?")
        if time.monotonic() > end:
            raise Unreachable(f"{login.node}: no answer within {seconds:g} s", login.check)
        if left != before:
            continue
        if channel.closed or (channel.eof_received and channel.exit_status_ready()):
            if not (channel.recv_ready() or channel.recv_stderr_ready()):
                return b"".join(out), b"".join(err)
            continue
        with contextlib.suppress(TimeoutError):
            got = heard(channel.recv(_CHUNK))
            left -= len(got)
            time.sleep(0 if got else 0.002)


def paramiko_late() -> Any:
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
