"""`init`, `doctor`, `status`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vpnctl.app import whoami
from vpnctl.cli import output
from vpnctl.cli.front import current
from vpnctl.rules.grammar import clean

commands = typer.Typer(add_completion=False, rich_markup_mode=None)


@commands.command("init")
def init() -> int:
    """Create the state: key file, database, SSH key, recovery key. What exists is kept."""
    from vpnctl.actions.service import state
    from vpnctl.settings import other_state

    front = current()
    settings = front.settings
    there = other_state()
    if there is not None:
        front.say(f"note: there is another state, {there}. A timer on the wrong one expires nobody.")
    fresh = not settings.key_file.exists()
    if fresh:
        front.confirm(f"Create {settings.key_file} and {_database()}?")
    created = state.init(settings, whoami())
    if front.json:
        output.dump(
            {
                "changed": created.fresh,
                "pending": [],
                "state_dir": str(settings.state_dir),
                "key_file": str(settings.key_file),
                "ssh_public_key": created.public_line,
                "recovery_key": created.recovery_key.reveal() if created.recovery_key else None,
            }
        )
        return 0
    if created.recovery_key is not None:
        front.say(
            "The recovery key is on the next line, and never shown again. Write it down; keep it off this machine."
        )
        output.reveal_once(created.recovery_key, "vpnctl vault renew-recovery --show")
        front.say("When you wrote it down, prove it:  vpnctl vault confirm")
    front.say(f"{'created' if created.fresh else 'kept'}: {_database()}, keys in {settings.key_file}")
    front.say("next: vpnctl node add NAME [USER@]HOST --provision")
    return 0


def _database() -> str:
    settings = current().settings
    return str(settings.sqlite_path or "the PostgreSQL database")


@commands.command("doctor")
def doctor() -> int:
    """Check this machine, keys, nodes and timers. Nothing is changed. Exit 9 when something is broken."""
    from vpnctl.actions.service import doctor as checks

    front = current()
    found = checks.examine(front.settings)
    if front.json:
        output.dump(found)
    else:
        for check in found:
            output.line(f"{check.verdict:<5} {clean(check.what)}")
            if check.hint:
                output.line(f"      {clean(check.hint)}")
    return 9 if any(check.verdict == "FAIL" for check in found) else 0


@commands.command("status")
def status(
    watch: Annotated[bool, typer.Option("--fail", help="Exit 3 when something needs attention.")] = False,
) -> int:
    """Show the service on one page: what needs attention, and what to type."""
    from dataclasses import replace

    from vpnctl.actions.service import selfcheck
    from vpnctl.reports.status import page

    front = current()
    with front.app.store.read() as tx:
        found = page(tx, front.app.clock(), front.settings.key_file)
    found = replace(found, attention=(*selfcheck.findings(front.app), *found.attention))
    if front.json:
        output.dump(found)
    else:
        sys.stdout.write(
            f"nodes {found.nodes}   users {found.users}   peers {found.peers}   online {found.online}"
            f"   pending {found.pending_peers}\n"
        )
        for each in found.attention:
            since = f" (since {each.since:%Y-%m-%d %H:%M} UTC)" if each.since else ""
            output.line(f"! {clean(each.subject)}: {clean(each.what)}{since}\n    {clean(each.command)}")
        if not found.nodes:
            sys.stdout.write("no nodes yet\n    vpnctl node add NAME [USER@]HOST --provision\n")
        elif not found.attention:
            sys.stdout.write("all is well\n")
    return 3 if watch and (found.pending_peers or found.attention) else 0
