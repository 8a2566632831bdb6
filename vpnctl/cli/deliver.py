"""Handing configs to people from the command line: stdout, a file, a QR code, a picture."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vpnctl.cli import output
from vpnctl.cli.front import Front, current, interruptible
from vpnctl.cli.peer_access import by_id, read
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
    form: str | None = None,
) -> list[dict[str, Any]]:
    """Hand out the configs as asked, then note that they were delivered. Return rows for --json, configs included.

    `form` is another form of them by name; the first where it is empty.
    What is noted comes after what is printed: killed between the two, a config counts as undelivered.
    """
    from vpnctl.actions.people import configs, peers

    rows = []
    several = len(issued) > 1
    if several and out is not None and not out.is_dir():
        out.mkdir(parents=True, mode=0o700)
    for each in issued:
        config = configs.form(front.app, each, form) if form is not None else configs.config(front.app, each)
        name = handout.file_name(each.endpoint.protocol, each.user.name, each.peer.device, each.peer.id)
        row = {
            "user": each.user.name,
            "device": each.peer.device,
            "node": each.node.name,
            "id": each.peer.id,
            "file_name": name,
            "app": handout.readers(each.endpoint.protocol, each.endpoint.options),
        }
        if front.json:
            row["config"] = config.reveal()
        _write(front, config, name, out, qr=qr, png=png, several=several)
        if out is not None and not several:
            front.say(f"it is read by: {row['app']}")
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


def _barred(peer_ids: list[str]) -> list[Any]:
    """Return those of the new peers whose people may not connect now."""
    from vpnctl.reports import devices
    from vpnctl.store import models

    front = current()
    found: list[Any] = []
    with front.app.store.read() as tx:
        for start in range(0, len(peer_ids), _PART):
            part = models.peer.c.id.in_(peer_ids[start : start + _PART])
            found += [view for view in devices.peers(tx, front.app.clock(), part) if view.reason]
    return found


_PART = 500


def refuse_existing(out: Path | None, png: Path | None, protocol: str, devices: list[tuple[str, str]]) -> None:
    """A file in the way is found before anything is changed."""
    if png is not None and len(devices) > 1:
        raise InvalidInput("--png holds one code", "hand them out one by one: vpnctl peer config USER --png FILE")
    if png is not None and out == png:
        raise InvalidInput("--out and --png name the same file", "name two")
    inside = (
        [out / handout.file_name(protocol, *device, "") for device in devices]
        if out is not None and out.is_dir()
        else []
    )
    for path in (out, png, *inside):
        if path is not None and os.path.lexists(path) and not path.is_dir():
            raise InvalidInput(f"{path} exists already", "name another file, or move it away")
        if path is not None and not path.parent.is_dir():
            raise InvalidInput(f"there is no folder {path.parent}", f"mkdir -p {path.parent}")


def give(issued: list[Any], verb: str, how: dict[str, Any]) -> int:
    """Settle, then hand out: the config is printed even while the node has not got it, with exit 3."""
    from vpnctl.actions.fleet.settle import settle

    front = current()
    named = [f"{each.user.name}/{each.peer.device}" for each in issued]
    whom = named[0] if len(named) == 1 else f"USER/DEVICE, for each of: {', '.join(named)}"
    with interruptible(f"not handed out yet: vpnctl peer config {whom}"):
        settled = settle(front.app, [node_id for each in issued for node_id in each.node_ids])
    broken = {each.node.name: each.node.path_error for each in issued if each.node.path_error}
    for name, why in sorted(broken.items()):
        front.say(f"warning: packets did not pass {name} when that was last tried: {why}")
        front.say(f"hint: vpnctl node check {name}")
    rows = hand_over(front, issued, **how)
    if any(each.peer.replaces_id for each in issued):  # the grace runs from the handing out on: nodes are told
        settle(front.app, [node_id for each in issued for node_id in each.node_ids])
    if len(issued) == 1:
        first = issued[0]
        what = f"{verb} {first.user.name}/{first.peer.device}{read(by_id(first.peer.id))}"
    else:
        nodes = ", ".join(sorted({each.node.name for each in issued}))
        what = f"{verb} {len(issued)} peers; checked on {nodes}"
        for view in _barred([each.peer.id for each in issued]):
            front.say(f"note: {view.user}/{view.device} cannot connect now: {view.reason}")
    return output.finish(front, settled, what, peers=rows)
