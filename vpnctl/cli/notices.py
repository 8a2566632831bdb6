"""`vpnctl notice …`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes, complete_notices, complete_users
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Messages to people and admins."
)
COLUMNS = ("state", "chat", "user", "kind", "text", "created_at", "sent_at", "error")


@commands.command("list")
def list_(
    state: Annotated[
        str, typer.Option("--state", help="Only: waiting, sent, failed.", autocompletion=complete_notices)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most this many.")] = 50,
) -> int:
    """List messages, the newest last."""
    from vpnctl.errors import InvalidInput
    from vpnctl.reports import notices
    from vpnctl.rules.grammar import clean

    front = current()
    if state not in ("", "waiting", "sent", "failed"):
        raise InvalidInput(f"'{clean(state)}' is not a state of a message", "one of: waiting, sent, failed")
    with front.app.store.read() as tx:
        rows = notices.listed(tx, front.settings.zone, state=state, limit=limit)
    if not rows:
        front.say("no messages")
    return output.show_list(front, rows, COLUMNS)


@commands.command("send")
def send(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from stdin.")],
    node: Annotated[
        list[str] | None, typer.Option("--node", help="To the users of this node.", autocompletion=complete_nodes)
    ] = None,
    user: Annotated[
        list[str] | None, typer.Option("--user", help="To this person.", autocompletion=complete_users)
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="To everybody.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many people it would reach.")] = False,
) -> int:
    """Send a message to people by Telegram, such as before maintenance of a node."""
    from vpnctl.actions.talk import news
    from vpnctl.rules import grammar

    front = current()
    body = grammar.message(sys.stdin.read(100_000) if text == "-" else text)
    with front.app.store.read() as tx:
        people, missed = news.recipients(tx, node or [], user or [], everybody=everybody)
    if missed:
        front.say(f"note: without Telegram id, or the bot is blocked: {output.count(missed, 'person', 'people')}")
    if dry_run or not people:
        what = f"it would reach {output.count(len(people), 'person', 'people')}"
        what = what if dry_run else "nothing was sent: nobody of these can be reached"
        return output.finish(front, [], what, changed=False, dry_run=dry_run, people=len(people), missed=missed)
    front.confirm(f"Send this to {output.count(len(people), 'person', 'people')}?")
    count = news.send(front.app, body, people)
    what = f"enqueued for {output.count(count, 'person', 'people')}; vpnctl jobs run notify sends it"
    return output.finish(front, [], what, people=count, missed=missed)
