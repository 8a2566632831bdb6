"""Handing configs to people from the command line: stdout, a file, a QR code, a picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vpnctl.cli import output
from vpnctl.cli.front import Front
from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean
from vpnctl.texts import handout

if TYPE_CHECKING:
    from vpnctl.actions.people.issue import Issued
    from vpnctl.rules.secret import Secret


def hand_over(
    front: Front,
    issued: Sequence[Issued],
    *,
    out: Path | None = None,
    qr: bool = False,
    png: Path | None = None,
    steps: bool = False,
) -> list[dict[str, Any]]:
    """Hand out the configs as asked, then note that they were delivered. Return rows for --json, configs included.

    What is noted comes after what is printed: killed between the two, a config counts as undelivered.
    """
    from vpnctl.actions.people import peers

    rows = []
    several = len(issued) > 1
    if several and out is not None and not out.is_dir():
        out.mkdir(parents=True, mode=0o700)
    for each in issued:
        config = peers.config(each)
        name = handout.file_name(each.endpoint.protocol, each.user.name, each.peer.device, each.peer.id)
        row = {
            "user": each.user.name,
            "device": each.peer.device,
            "node": each.node.name,
            "id": each.peer.id,
            "file_name": name,
        }
        if front.json:
            row["config"] = config.reveal()
        _write(front, config, name, out, qr=qr, png=png, several=several)
        if steps and not several:
            front.say("\n" + handout.all_steps(each.endpoint.protocol, name))
        rows.append(row)
    if several and out is not None:
        front.say(f"wrote {output.count(len(issued), 'file')} to {out}")
    sys.stdout.flush()
    peers.delivered(front.app, [each.peer.id for each in issued], "file" if out else "picture" if png else "printed")
    return rows


def _fitting_qr(front: Front, config: Secret) -> str:
    """Return the code for the terminal, or nothing and why: one that is broken at the edge does not scan."""
    import shutil

    code = handout.terminal_qr(config)
    wide = max(map(len, code.splitlines()))
    have = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and wide > have:
        front.say(f"warning: the code is {wide} columns wide, this terminal has {have}: it would not scan")
        front.say("hint: make the window wider or the font smaller, or write a picture: --png FILE")
        return ""
    return code


def _holds(path: Path, config: Secret) -> bool:
    """Return whether that very file is there already."""
    try:
        return not path.is_symlink() and path.read_text(encoding="utf-8") == config.reveal()
    except (OSError, UnicodeDecodeError):
        return False


def _write(
    front: Front, config: Secret, name: str, out: Path | None, *, qr: bool, png: Path | None, several: bool
) -> None:
    from vpnctl.store.vault import write_private

    if out is not None:
        target = out / name if out.is_dir() else out
        if not _holds(target, config):  # written by an earlier run that did not come to its end
            write_private(target, config.reveal(), durable=False)
        if not several:
            front.say(f"wrote {target}")
    if png is not None:
        if several:
            raise InvalidInput("--png holds one code", "hand them out one by one: vpnctl peer config USER --png FILE")
        output.write_new(png, handout.png(config))
        front.say(f"wrote {png}")
    if front.json:
        return
    if qr:
        sys.stdout.write(_fitting_qr(front, config))
    elif out is None and png is None:
        sys.stdout.write((f"# {clean(name)}\n" if several else "") + config.reveal() + ("\n" if several else ""))
