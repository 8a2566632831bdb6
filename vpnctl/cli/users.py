"""`vpnctl user …`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import admission, moving, output
from vpnctl.cli import link as links
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_users
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.app import App
    from vpnctl.store.rows import User

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="People: add, block, migrate, remove."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="User name.", autocompletion=complete_users)]
DisplayName = Annotated[
    str | None, typer.Option("--display-name", help="Free text; never leaves database and screens.")
]
TelegramId = Annotated[int | None, typer.Option("--telegram-id", help="The person's numeric Telegram id.")]
Locale = Annotated[str | None, typer.Option("--locale", help="en, ru or fa.")]
Devices = Annotated[
    int | None, typer.Option("--devices", metavar="N", help="At most this many devices; 0 for no limit.")
]
Note = Annotated[str | None, typer.Option("--note", help="A note for yourself.")]
Limited = Annotated[
    bool | None,
    typer.Option("--unlimited/--limited", help="Access without a subscription, or by subscription only."),
]
for _verb, _work in admission.VERBS.items():
    commands.command(_verb)(_work)
COLUMNS = ("name", "display_name", "state", "access", "until", "devices", "device_limit", "online", "telegram_id")


@commands.command("add")
def add(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="User names.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Names from a file, one a line; - for stdin.")
    ] = None,
    display_name: DisplayName = None,
    telegram_id: TelegramId = None,
    locale: Locale = None,
    devices: Devices = None,
    note: Note = None,
    unlimited: Limited = None,
) -> int:
    """Add people, approved. As long as there are no plans they are unlimited; with plans, grant one or say so."""
    from vpnctl.actions.people import users
    from vpnctl.cli.lines import read_lines
    from vpnctl.errors import InvalidInput

    front = current()
    wanted = [*(names or []), *read_lines(source)]
    if not wanted:
        raise InvalidInput("no name was given", "vpnctl user add NAME")
    if len(wanted) > 1 and telegram_id is not None:
        raise InvalidInput("a Telegram id belongs to one person", "add them one by one")
    rows = users.add(
        front.app,
        wanted,
        display_name=display_name,
        telegram_id=telegram_id,
        locale=locale,
        device_limit=devices,
        note=note,
        unlimited=unlimited,
    )
    some = ", ".join(row.name for row in rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")  # noqa: PLR2004
    first = rows[0].name
    step = f"vpnctl peer add {first}" if rows[0].unlimited else f"vpnctl subscription grant {first} --plan PLAN"
    return output.finish(front, [], f"added {some}; next: {step}", users=_views(rows) if front.json else [])


def _views(rows: Any) -> list[Any]:
    from vpnctl.reports import people

    front = current()
    with front.app.store.read() as tx:
        return [view for row in rows for view in people.users(tx, front.app.clock(), people.UserFilter(name=row.name))]


@commands.command("list")
def list_(
    search: Annotated[str, typer.Option("--search", help="Only names that contain this.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000_000, help="At most this many; 0 for all.")] = 50,
    after: Annotated[str, typer.Option("--after", metavar="NAME", help="Go on behind this name.")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only who waits for approval.")] = False,
) -> int:
    """List people, and who is online."""
    from vpnctl.reports import people

    front = current()
    with front.app.store.read() as tx:
        more_ = limit + 1 if limit else 0
        which = people.UserFilter(search=search, unapproved=waiting)
        rows = people.users(tx, front.app.clock(), which, limit=more_, after=after)
    more = bool(limit) and len(rows) > limit
    if not rows:
        front.say("nobody waits" if waiting else "nobody; vpnctl user add NAME")
    shown = rows[:limit] if more else rows
    code = output.show_list(front, shown, COLUMNS)
    if more and not front.json:
        front.say(f"there are more: --after {shown[-1].name}, or --limit 0")
    return code


@commands.command("show")
def show(name: Name) -> int:
    """Show one person and their devices."""
    import sys

    from vpnctl.reports import devices, people
    from vpnctl.store import find, models

    front = current()
    with front.app.store.read() as tx:
        row = find.user(tx, name)
        view = people.users(tx, front.app.clock(), people.UserFilter(name=row.name))[0]
        peers = devices.peers(tx, front.app.clock(), models.peer.c.user_id == row.id)
    output.show_one(front, view, peers=peers)
    if not front.json and peers:
        sys.stdout.write("\n")
        output.show_list(
            front, peers, ("device", "node", "protocol", "state", "online", "handshake_at", "received", "sent")
        )
    return 0


@commands.command("set")
def set_(
    name: Name,
    rename: Annotated[str | None, typer.Option("--name", metavar="NEW", help="A new name.")] = None,
    display_name: DisplayName = None,
    telegram_id: TelegramId = None,
    locale: Locale = None,
    devices: Devices = None,
    note: Note = None,
    unlimited: Limited = None,
) -> int:
    """Change details of a person."""
    from vpnctl.actions.people import users

    details = {
        "name": rename,
        "display_name": display_name,
        "telegram_id": telegram_id,
        "locale": locale,
        "device_limit": devices,
        "note": note,
        "unlimited": unlimited,
    }

    def tell(done: Done[User], _: Sequence[Settled]) -> Told:
        views = _views([done.made])
        access = f"; access: {views[0].access}" if unlimited is not None else ""
        given = any(value is not None for value in details.values())
        return Told(f"changed {done.made.name}{access}" if given else "nothing to change", {"users": views}, given)

    return carry_out(lambda app: users.change(app, name, details), tell)


@commands.command("block")
def block(
    name: Name, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False
) -> int:
    """Cut all devices of a person until `unblock`. Keys and addresses are kept."""
    from vpnctl.actions.people import users

    return _switch(users.block, name, f"{name} is blocked; checked: on no node any more", dry_run, cuts=True)


@commands.command("unblock")
def unblock(
    name: Name, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False
) -> int:
    """Let a blocked person in again."""
    from vpnctl.actions.people import users

    return _switch(users.unblock, name, f"{name} may connect again", dry_run)


def _switch(verb: Callable[[App, str], Done[User]], name: str, what: str, dry_run: bool, *, cuts: bool = False) -> int:
    def tell(done: Done[User], settled: Sequence[Settled]) -> Told:
        _warn_uncut(settled if cuts else [], name)
        return Told(what, {"users": _views([done.made])})

    return carry_out(lambda app: verb(app, name), tell, dry_run=dry_run)


def _warn_uncut(settled: Sequence[Settled], name: str) -> None:
    """Say where somebody who is to be cut may still pass traffic."""
    where = ", ".join(each.node for each in settled if each.code)
    if where:
        current().say(f"warning: devices of {name} may still pass traffic on {where} until it was read again")


migrate = commands.command("migrate")(moving.migrate)
link = commands.command("link")(links.link)


@commands.command("remove")
def remove(
    name: Name,
    erase: Annotated[
        bool, typer.Option("--erase", help="Erase everything about the person; tombstones have no name.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Remove a person and revoke all their devices."""
    from vpnctl.actions.people import users

    if not dry_run:
        view = _one(name)
        devices = output.count(view.devices, "device")
        current().confirm(f"Remove {view.name} and revoke {devices}{', erasing all data' if erase else ''}?")

    def tell(done: Done[User], settled: Sequence[Settled]) -> Told:
        _warn_uncut(settled, done.made.name)
        return Told(f"removed {done.made.name}; checked: on no node any more", {"users": [done.made.name]})

    return carry_out(lambda app: users.remove(app, name, erase=erase), tell, dry_run=dry_run)


def _one(name: str) -> Any:
    from vpnctl.reports import people
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        return people.users(tx, front.app.clock(), people.UserFilter(name=find.user(tx, name).name))[0]
