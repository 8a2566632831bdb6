"""A panel on a node of ours: the requests are sent there, under the node's own lock and token."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources

from vpnctl.errors import NodeFailed
from vpnctl.remote.panel.door import Cut, Exchanged, Guard, Reply, Sent
from vpnctl.remote.shell import COMMAND_SECONDS, Shell

LOADER = (
    "LC_ALL=C; IFS= read -r script_bytes"
    ' && script=$(head -c "$script_bytes") && [ "${#script}" = "$script_bytes" ] && eval "$script"'
)
_FOR_EACH = 21.0
_MOST = 400.0
"""Seconds: for one request, and for all."""


@cache
def script() -> str:
    """Return the script, without comments."""
    parts = (("vpnctl.protocols.xray", "node.sh"), ("vpnctl.remote.panel", "panel.sh"))
    text = "\n".join(resources.files(package).joinpath(name).read_text(encoding="ascii") for package, name in parts)
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("# "))


class ShellDoor:
    """See `Door`."""

    fences = True

    def __init__(self, shell: Shell, node: str) -> None:
        self._shell, self._node = shell, node

    def send(
        self,
        messages: Sequence[Sent],
        guard: Guard | None = None,
        _still: Callable[[], bool] = lambda: True,
        cuts: Sequence[Cut] = (),
    ) -> Exchanged:
        """See `Door.send`."""
        nonce, body = secrets.token_hex(8), script().encode()
        head = f"{nonce}\n{guard.seen if guard else '.'}\n{guard.fresh if guard else '.'}\n".encode()
        parts = [_config(each) for each in messages]
        asked = [f"{len(part)}\n".encode() + part for part in parts]
        asked[-1:-1] = [f"cut {each.port} {' '.join(each.names)}\n".encode() for each in cuts]
        seconds = min(COMMAND_SECONDS + _FOR_EACH * len(messages), _MOST)
        result = self._shell.run(
            ("bash", "-c", LOADER), f"{len(body)}\n".encode() + body + head + b"".join(asked), seconds
        )
        try:
            if result.status != 0:
                raise ValueError("it failed")
            return _parsed(result.stdout, nonce, len(messages))
        except ValueError:
            raise NodeFailed(
                f"{self._node}: what the server says of its panel makes no sense", f"vpnctl node check {self._node}"
            ) from None
        except _NoCurl:
            raise NodeFailed(
                f"{self._node}: there is no curl on the server", "apt install curl, on the server"
            ) from None

    def close(self) -> None:
        """See `Door.close`."""


class _NoCurl(Exception):  # noqa: N818
    """The server cannot send requests."""


def _config(message: Sent) -> bytes:
    """Return a request in curl's config format. The panel is on the same machine: its certificate names another."""
    lines = [f"url = {_quoted(message.url)}", "insecure", 'header = "Expect:"']
    lines += [f"header = {_quoted(f'{name}: {value}')}" for name, value in message.headers.items()]
    if message.body is not None:
        lines += ['request = "POST"', f"data-raw = {_quoted(message.body.decode())}"]
    return ("\n".join(lines) + "\n").encode()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _parsed(out: bytes, nonce: str, count: int) -> Exchanged:
    """Return what the script said. Raises ValueError unless it is whole."""
    token, clock, refused, replies, left = "-", None, "", [], {}
    while True:
        line, _, out = out.partition(b"\n")
        word, *rest = line.decode("ascii").split(" ")
        if word == "token":
            token = rest[0] if rest[0] == "-" or (rest[0].isalnum() and len(rest[0]) <= 40) else "?"  # noqa: PLR2004
        elif word == "clock":
            clock = int(rest[0])
        elif word == "refused":
            refused = rest[0]
        elif word == "cut":
            left[int(rest[0])] = None if rest[1] == "unknown" else int(rest[1])
        elif word == "lacks":
            raise _NoCurl
        elif word == "reply":
            size = int(rest[1])
            replies.append(_reply(int(rest[0]), out[:size]))
            out = out[size + 1 :]
        elif line == f"end {nonce}".encode():
            break
        else:
            raise ValueError("a line that is none")
    if not refused and len(replies) != count:
        raise ValueError("it is not whole")
    return Exchanged(replies, token, clock, refused, left)


def _reply(curl: int, said: bytes) -> Reply:
    if curl != 0:
        return Reply(0)
    while said.startswith(b"HTTP/1.1 1"):  # 100 Continue and its like come before the answer
        said = said.partition(b"\r\n\r\n")[2]
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    cookies = dict(value.partition(";")[0].partition("=")[::2] for name, value in pairs if name == "set-cookie")
    return Reply(int(first.split(" ")[1]), body, dict(pairs), cookies)
