"""`vpnctl vault …`."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.app import whoami
from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The keys that seal secrets: rotate, recover.",
)


@commands.command("rotate")
def rotate() -> int:
    """Seal everything with a fresh key and forget the old one. Interrupted, run it again."""
    from vpnctl.actions.service import state

    front = current()
    front.confirm("Rotate the key that seals all secrets? Stop the bot and timers first.")
    done = state.rotate(front.settings, whoami(), lambda at, total: front.say(f"sealed {at} of {total}"))
    front.say("note: copies of the database from before need the key file of then, or the recovery key")
    return output.finish(front, [], f"rotated: {output.count(done, 'secret')} sealed anew", sealed=done)


@commands.command("confirm")
def confirm() -> int:
    """Prove that you hold the recovery key: type it, or pipe it in."""
    from vpnctl.actions.service import state

    front = current()
    state.confirm_recovery(front.app, front.read_secret("recovery key", "stdin"))
    return output.finish(front, [], "confirmed: the recovery key is in your hands")


@commands.command("recover")
def recover() -> int:
    """Write the key file anew, with the recovery key (typed, or piped in)."""
    from vpnctl.actions.service import state

    front = current()
    state.recover_vault(front.settings, front.read_secret("recovery key", "stdin"))
    return output.finish(front, [], f"wrote {front.settings.key_file}; next: vpnctl doctor")


@commands.command("renew-recovery")
def renew(
    show: Annotated[bool, typer.Option("--show", help="Needed: the new key is printed on stdout.")] = False,
) -> int:
    """Make a new recovery key and print it; the old one opens nothing any more."""
    from vpnctl.actions.service import state
    from vpnctl.errors import InvalidInput

    front = current()
    if not show:
        raise InvalidInput("the new key will be printed on stdout", "give --show when nobody looks over your shoulder")
    front.confirm("Make a new recovery key? The old one will open only copies from before.")
    key = state.new_recovery(front.app)
    front.say("note: copies of the database from before open with the old key; for a new copy: vpnctl db copy FILE")
    if front.json:
        output.dump({"changed": True, "pending": [], "recovery_key": key.reveal()})
    else:
        output.reveal_once(key, "vpnctl vault renew-recovery --show")
    return 0
