"""`vpnctl backup …`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.app import whoami
from vpnctl.cli import output
from vpnctl.cli.completion import complete_backups, complete_nodes
from vpnctl.cli.front import current
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.actions.service.reviewing import Decision, Review
    from vpnctl.rules.secret import Secret

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The whole service in one sealed file: create, list, verify, restore.",
)

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A backup; a name of `backup list` will do.", autocompletion=complete_backups),
]
WithKey = Annotated[
    bool, typer.Option("--recovery-key", help="Open it with the recovery key (typed, or piped in), not this machine's.")
]


@commands.command("create")
def create(
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Into this folder.")] = None,
) -> int:
    """Write a backup while the service runs, read it back, and compare everything that it renders.

    It holds database, keys and settings, sealed: with the recovery key it is the whole service on a new machine.
    """
    from vpnctl.actions.service import backups

    front = current()
    made = backups.create(front.app, out)
    where = (out or backups.folder(front.settings)) / made.file
    _nag()
    return output.finish(
        front, [], f"wrote {where} ({_size(made.size)}), opened and compared", backup=made, path=str(where)
    )


def _nag() -> None:
    """A backup is worth nothing to who does not hold the recovery key."""
    from vpnctl.app import RECOVERY_CONFIRMED

    front = current()
    with front.app.store.read() as tx:
        if tx.meta(RECOVERY_CONFIRMED) is None:
            front.say("note: nobody confirmed to hold the recovery key, which opens it elsewhere: vpnctl vault confirm")


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{max(number // 1000, 1)} kB"  # noqa: PLR2004


@commands.command("list")
def list_() -> int:
    """List the backups in the folder (setting backup_folder), newest first."""
    from vpnctl.actions.service import backups, keeping

    front = current()
    rows = keeping.listed(front.app)
    if not rows:
        front.say(f"no backups in {backups.folder(front.settings)} yet: vpnctl backup create")
    return output.show_list(front, rows, ("file", "created_at", "size", "schema", "checked"))


@commands.command("verify")
def verify(file: File, recovery_key: WithKey = False) -> int:
    """Open a backup aside and compare every file and config that it renders with what was rendered then."""
    from vpnctl.actions.service import backups, keeping

    front = current()
    path = _found(file)
    key = _recovery_key() if recovery_key else None
    there = recovery_key and not _has_state()
    found = backups.verify(front.settings, path, None if there else front.app.vault, key)
    if not there and keeping.is_ours(front.app, path):
        backups.note_verified(front.app, path)
    made, files = f"{found.created_at:%Y-%m-%d %H:%M}", output.count(len(found.rendered), "file")
    what = f"{path.name} of {made} opens: {files} and configs are as they were"
    if found.differing:
        others = f"this version writes {len(found.differing)} of them otherwise"
        front.say(f"note: vpnctl {clean(found.version)} wrote it; {others}")
        what = f"{path.name} of {made} opens, and all of its secrets do"
    rows: dict[str, Any] = {
        "rendered": len(found.rendered),
        "created_at": found.created_at,
        "differing": list(found.differing),
    }
    return output.finish(front, [], what, changed=False, **rows)


@commands.command("restore")
def restore(file: File, recovery_key: WithKey = False) -> int:
    """Make a backup the service of this machine, which has none yet. No node is contacted.

    What was revoked or added on nodes since the backup is decided next: `vpnctl backup finish`.
    """
    from vpnctl.actions.service import backups, restoring
    from vpnctl.settings import config_file, load
    from vpnctl.store import snapshot

    front = current()
    config = config_file(front.config)
    settings = front.settings if config.exists() else load()  # one that is named and not there is written
    path = file if file.exists() else backups.folder(settings) / file
    snapshot.refuse_existing(settings.database_url)
    key = _recovery_key() if recovery_key or not settings.key_file.exists() else None
    done = restoring.restore(settings, path, key, config, whoami())
    what = (
        f"restored the service as of {done.created_at:%Y-%m-%d %H:%M}: {output.count(done.nodes, 'node')}, "
        f"{output.count(done.users, 'user')}, {output.count(done.devices, 'device')}"
    )
    front.say(what)
    if done.config is not None:
        front.say(f"wrote the settings to {done.config}")
    if done.held:
        front.say(
            f"note: {output.count(done.held, 'message')} waited then and may have been sent since; they are not sent"
        )
    front.say("what was sold, granted, suspended or revoked since the backup is not in it")
    front.config = config if config.exists() else None
    return output.finish(front, [], "next: vpnctl backup finish, and the timers: vpnctl jobs install", restored=done)


@commands.command("finish")
def finish(
    missing: Annotated[
        str | None,
        typer.Option("--missing", help="Devices of the backup that changed nodes lack: revoke them, or restore."),
    ] = None,
    unknown: Annotated[
        str | None, typer.Option("--unknown", help="Peers there that the backup does not know: keep them, or prune.")
    ] = None,
    ended: Annotated[
        str | None,
        typer.Option("--ended", help="Users who ran out by the backup and may have renewed since: keep, or cut."),
    ] = None,
    lost: Annotated[
        list[str] | None,
        typer.Option(
            "--lost", metavar="NODE", help="It will never answer: as in the backup.", autocompletion=complete_nodes
        ),
    ] = None,
) -> int:
    """Read every node after a restore: what was revoked, added or renewed since the backup, to be decided by somebody.

    Without an answer nothing is changed (exit 6). Who is kept with `--ended keep` has a week, without limits, in which
    you look up what they paid.
    """
    from vpnctl.actions.service import reviewing
    from vpnctl.actions.service.reviewing import Since

    front = current()
    decision = _decision(missing, unknown, ended, lost or [])
    if reviewing.open_since(front.app) is None:
        return output.finish(
            front, [], "nothing is to be decided: no backup was restored here", changed=False, nodes=[]
        )
    reviews = reviewing.review(front.app)
    _show(reviews)
    _ask(reviews, missing, unknown, ended)
    settled = reviewing.finish(front.app, reviews, decision)
    silent = [each.node.name for each in reviews if each.since is Since.SILENT and each.node.name not in decision.lost]
    if silent:
        again = " ".join(f"--lost {name}" for name in silent)
        front.say(f"note: still to be decided when they answer: {', '.join(silent)}: vpnctl backup finish")
        front.say(f"    or, where they never will: vpnctl backup finish {again}")
    what = f"{output.count(len(settled), 'node')} agree with the database"
    code = output.finish(front, settled, what, nodes=[_plain(each) for each in reviews])
    return code or (3 if silent else 0)


def _decision(missing: str | None, unknown: str | None, ended: str | None, lost: Sequence[str]) -> Decision:
    from vpnctl.actions.service.reviewing import Decision
    from vpnctl.errors import InvalidInput
    from vpnctl.store import find

    if missing not in (None, "revoke", "restore"):
        raise InvalidInput("--missing is revoke or restore", "revoke: who was cut since stays out")
    if unknown not in (None, "keep", "prune"):
        raise InvalidInput("--unknown is keep or prune", "keep: who was added since stays connected")
    if ended not in (None, "keep", "cut"):
        raise InvalidInput("--ended is keep or cut", "keep: who ran out by the backup has a week more")
    with current().app.store.read() as tx:
        names = frozenset(find.node(tx, name).name for name in lost)
    return Decision(missing == "revoke", unknown == "prune", ended == "keep", names)


def _ask(reviews: Sequence[Review], missing: str | None, unknown: str | None, ended: str | None) -> None:
    """See that each question has its answer, and that nobody else drives the nodes that were changed."""
    from vpnctl.actions.service.reviewing import Since
    from vpnctl.errors import Stopped

    asked = [
        flag
        for flag, open_ in (
            ("--missing revoke|restore", missing is None and any(each.missing for each in reviews)),
            ("--unknown keep|prune", unknown is None and any(each.unknown for each in reviews)),
            ("--ended keep|cut", ended is None and any(each.ran_out for each in reviews)),
        )
        if open_
    ]
    if asked:
        raise Stopped("that is for somebody to decide; nothing was changed", f"vpnctl backup finish {' '.join(asked)}")
    changed = [each.node.name for each in reviews if each.since is Since.CHANGED]
    if changed:
        current().confirm(f"{', '.join(changed)}: is the machine that changed them since the backup gone for good?")


def _plain(each: Review) -> dict[str, Any]:
    return {
        "node": each.node.name,
        "since": each.since,
        "missing": sorted(each.missing.values()),
        "unknown": [stranger.identity for stranger in each.unknown],
        "ended": sorted(each.ran_out),
        "resting": each.resting,
        "endpoints": each.endpoints,
        "why": each.why,
    }


def _show(reviews: Sequence[Review]) -> None:
    front = current()
    for each in reviews:
        name = each.node.name
        what = f"could not be read: {clean(each.why)}" if each.why else f"{each.since} since the backup"
        front.say(f"{name}: {what}")
        for device in sorted(each.missing.values()):
            front.say(f"  {device} is in the backup and not there: revoked since, or not put there yet")
        for stranger in each.unknown:
            front.say(f"  {stranger.identity} is there and not in the backup: added since")
        for user, why in sorted(each.ran_out.items()):
            front.say(f"  {user} is let in there, and by the backup not any more ({why}): renewed since, or just over")
        if each.resting:
            front.say(
                f"  may not connect by the backup; whether revoked since cannot be told: {', '.join(each.resting)}"
            )
        for endpoint in each.endpoints:
            front.say(f"  {endpoint} serves there and is not in the backup: nobody can be revoked on it from here.")
            front.say(f"    To end it, stop its units on the server: systemctl list-units '*@{endpoint}.service'")


def _found(file: Path) -> Path:
    from vpnctl.actions.service import backups

    named = backups.folder(current().settings) / file
    return named if not file.exists() and file.name == str(file) and named.exists() else file


def _recovery_key() -> Secret:
    return current().read_secret("recovery key", "stdin")


def _has_state() -> bool:
    path = current().settings.sqlite_path
    return path is None or path.exists()
