"""`vpnctl user link`: what one app reads to have all devices of a person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_users
from vpnctl.cli.front import current


def link(
    name: Annotated[str, typer.Argument(metavar="NAME", help="User name.", autocompletion=complete_users)],
    form: Annotated[
        str, typer.Option("--format", help="base64, sing-box, mihomo, xray or amnezia: what the person's app reads.")
    ] = "base64",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
    url: Annotated[
        bool, typer.Option("--url", help="Print the address under which the web process serves it instead.")
    ] = False,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Give them another address; the one before leads nowhere from now on.")
    ] = False,
) -> int:
    """Print what an app reads to have all devices of a person at once; without access, one entry that says why."""
    if url or rotate:
        return _address(name, rotate=rotate)
    from vpnctl.actions.people import link as work
    from vpnctl.actions.people import peers
    from vpnctl.errors import InvalidInput
    from vpnctl.store.vault import write_private

    front = current()
    if out is not None and out.exists():
        raise InvalidInput(f"{out} exists already", "name another file, or move it away")
    found = work.written(front.app, name, form)
    if out is not None:
        write_private(out, found.text.reveal(), durable=False)
        front.say(f"wrote {out}")
    elif not front.json:
        sys.stdout.write(found.text.reveal())
        sys.stdout.flush()
    devices = [each.peer.device for each in found.peers]
    if found.ended is not None:
        front.say(f"note: {name} has no access ({found.ended}); the text says so")
    elif not devices and not found.closed:
        front.say(f"note: no device of {name} can be carried by that app; vpnctl peer list --user {name}")
    if found.left_out:
        front.say(
            f"note: not in it, for the app cannot carry them or their key is not kept: {', '.join(found.left_out)}"
        )
    if found.closed:
        front.say(f"note: not in it, for they may not connect now: {', '.join(found.closed)}")
    peers.delivered(front.app, [each.peer.id for each in found.peers], "link")
    if front.json:
        text = None if out else found.text.reveal()
        output.dump({"user": name, "format": form, "devices": devices, "left_out": found.left_out,
                     "closed": found.closed, "ended": found.ended, "text": text})  # fmt: skip
    return 0


def _address(name: str, *, rotate: bool) -> int:
    from vpnctl.actions.people import link_address

    front = current()
    if rotate:
        front.confirm(f"Give {name} another address? Apps that have the one before get nothing any more.")
    found = link_address.address(front.app, name, rotate=rotate)
    if front.json:
        output.dump({"user": name, "url": found.url.reveal(), "rotated": found.rotated})
        return 0
    front.say(f"the link of {name}; whoever has it can connect as them:")
    sys.stdout.write(found.url.reveal() + "\n")
    return 0
