"""Programs of the operator's own, run on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from vpnctl.errors import NodeFailed
from vpnctl.rules.grammar import clean, quoted

SECONDS = 120.0


def run(argv: Sequence[str], setting: str) -> None:
    """Run a program and wait for its end. NodeFailed, which names the setting, when it fails or takes too long.

    Nothing secret may stand in `argv`. The end of what it says on stderr is quoted.
    """
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except OSError as error:
        raise NodeFailed(f"cannot run {clean(argv[0])}: {error.strerror}", f"mend the setting {setting}") from None
    except subprocess.TimeoutExpired:
        raise NodeFailed(f"{clean(argv[0])} did not end within {SECONDS:g} s", f"mend the setting {setting}") from None
    if done.returncode:
        said = quoted(done.stderr.decode("utf-8", "replace"))
        raise NodeFailed(
            f"{clean(argv[0])} failed with {done.returncode}" + (f": {said}" if said else ""),
            f"mend the setting {setting}",
        )
