"""`vpnctl user invite`, `approve` and what belongs to them: who gets into the bot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_users
from vpnctl.cli.front import current

Name = Annotated[str, typer.Argument(metavar="NAME", help="User name.", autocompletion=complete_users)]


def invite(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A user without Telegram.", autocompletion=complete_users)
    ] = None,
    days: Annotated[int, typer.Option("--days", help="How long it is good, 1 to 90.")] = 7,
) -> int:
    """Print a link that lets one person into the bot: as the user NAME, or as somebody new.

    Whoever opens it first is that person, without captcha and approval. It works once.
    """
    from vpnctl.actions.people import invites

    front = current()
    bot = invites.find_bot(front.app)
    code = invites.create(front.app, name, days)
    link = invites.link(bot, code).reveal() if bot else ""
    if front.json:
        output.dump({"changed": True, "pending": [], "user": name, "code": code.reveal(), "link": link or None})
        return 0
    sys.stdout.write((link or f"/start {code.reveal()}") + "\n")
    who = name or "somebody new"
    front.say(f"good for {who}, once, for {output.count(days, 'day')}" + ("" if link else "; to be sent to your bot"))
    return 0


def invites() -> int:
    """List the invitations that still work."""
    from vpnctl.reports import asking

    front = current()
    with front.app.store.read() as tx:
        rows = asking.invites(tx, front.app.clock())
    if not rows:
        front.say("no invitation is open; vpnctl user invite")
    return output.show_list(front, rows, ("id", "user", "made_by", "created_at", "expires_at"))


def uninvite(
    invite: Annotated[str, typer.Argument(metavar="ID", help="The invitation's id, or how it begins.")],
) -> int:
    """Make an invitation worthless that nobody used yet."""
    from vpnctl.actions.people import invites

    front = current()
    row = invites.withdraw(front.app, invite)
    return output.finish(front, [], f"the invitation {row.id[:8]} does not work any more", invite=row.id)


def approve(name: Name) -> int:
    """Let somebody in who asked the bot for access. Unlimited as long as there are no plans."""
    from vpnctl.actions.people import applicants

    front = current()
    row = applicants.approve(front.app, name, again=True)
    return output.finish(front, [], f"{row.name} is let in", users=_views(row.name))


def reject(name: Name) -> int:
    """Turn somebody away who asked the bot for access; `user approve` takes it back."""
    from vpnctl.actions.people import applicants

    front = current()
    row = applicants.reject(front.app, name)
    return output.finish(front, [], f"{row.name} is turned away", users=_views(row.name))


def _views(name: str) -> list[Any]:
    from vpnctl.reports import people

    front = current()
    with front.app.store.read() as tx:
        return people.users(tx, front.app.clock(), people.UserFilter(name=name))


VERBS: dict[str, Callable[..., int]] = {
    "invite": invite,
    "invites": invites,
    "uninvite": uninvite,
    "approve": approve,
    "reject": reject,
}
