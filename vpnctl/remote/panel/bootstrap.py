"""What a server says of its own panel: where it answers, and a token where this version makes some.

Source: MHSanaei/3x-ui, main.go: `x-ui setting -show true`, `-getCert true`, `-getApiToken true` (3.0.2 and later).
"""

from __future__ import annotations

import re

from vpnctl.errors import InvalidInput
from vpnctl.remote.panel.door import Access
from vpnctl.remote.shell import Shell
from vpnctl.rules.secret import Secret

PROGRAM = "/usr/local/x-ui/x-ui"
_SECONDS = 20.0
_PORT = re.compile(r"^port: (\d{1,5})$", re.MULTILINE)
_BASE = re.compile(r"^webBasePath: /?([A-Za-z0-9._~/-]*?)/?$", re.MULTILINE)
_CERT = re.compile(r"^cert: (\S+)$", re.MULTILINE)
_TOKEN = re.compile(r"^apiToken: ([\x21-\x7e]{16,200})$", re.MULTILINE)


def ask(shell: Shell, node: str) -> Access:
    """Return how to get into the panel of a server; with an empty secret where it makes no token.

    Raises InvalidInput where there is no panel.
    """
    said = _said(shell, "-show")
    port, base = _PORT.search(said), _BASE.search(said)
    if port is None:
        raise InvalidInput(
            f"{node}: there is no 3x-ui panel at {PROGRAM}",
            f"say where it is: vpnctl node panel {node} http://127.0.0.1:PORT/PATH --token-stdin",
        )
    scheme = "https" if _CERT.search(_said(shell, "-getCert")) else "http"
    token = _TOKEN.search(_said(shell, "-getApiToken"))
    path = f"/{base[1]}" if base and base[1] else ""
    return Access(f"{scheme}://127.0.0.1:{port[1]}{path}", "", Secret(token[1] if token else ""))


def _said(shell: Shell, what: str) -> str:
    return shell.run((PROGRAM, "setting", what, "true"), seconds=_SECONDS).stdout.decode("utf-8", "replace")
