"""The machine itself as a node: the same node script without SSH."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence

from vpnctl.errors import InvalidInput, NodeFailed, Unreachable
from vpnctl.remote.shell import COMMAND_SECONDS, OUTPUT_CAP, Hear, Login, Result, deaf


class LocalShell:
    """Runs commands here, as root or through `sudo -n`."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._prefix: tuple[str, ...] = () if os.geteuid() == 0 else ("sudo", "-n")

    def run(
        self, argv: Sequence[str], stdin: bytes = b"", seconds: float = COMMAND_SECONDS, hear: Hear = deaf
    ) -> Result:
        """See `Shell.run`; here everything is heard at the end."""
        try:
            process = subprocess.Popen(
                [*self._prefix, *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us; the node script is never cut between two steps
            )
        except FileNotFoundError as error:
            raise InvalidInput(f"cannot run {error.filename} here", "install sudo, or run vpnctl as root") from None
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            stdout, stderr = process.communicate(stdin)
        finally:
            timer.cancel()
        if process.returncode < 0:
            raise Unreachable(f"{self._login.node}: no answer within {seconds:g} s", self._login.check)
        if len(stdout) > OUTPUT_CAP:
            raise NodeFailed(f"{self._login.node} sent more than {OUTPUT_CAP} bytes")
        hear(stdout)
        return Result(process.returncode, stdout, stderr)

    def is_open(self) -> bool:
        """See `Shell.is_open`."""
        return True

    def close(self) -> None:
        """Nothing to close."""
