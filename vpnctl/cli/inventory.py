"""`vpnctl inventory …`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="YAML in and out.")


@commands.command("apply")
def apply(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The inventory; - for stdin.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Add and change what a YAML file says. What is missing from the file stays."""
    from vpnctl.actions.fleet.settle import Wish, settle
    from vpnctl.actions.service import inventory
    from vpnctl.actions.service.inventory_form import parse
    from vpnctl.rules.changes import SYSTEM

    front = current()
    wanted, document = parse(_read(path), str(path))
    plan = inventory.preview(front.app, wanted, document)
    for note in plan.notes:
        front.say(f"note: {note}")
    if front.json and dry_run:
        output.dump({"changed": False, "dry_run": True, "changes": list(plan.lines)})
        return 0
    for line in plan.lines if not front.json else ():
        sys.stdout.write(line + "\n")
    if dry_run or not plan.lines:
        return output.finish(
            front, [], "dry run: nothing was changed" if dry_run else "nothing to change", changed=False, changes=[]
        )
    front.confirm(f"Make {output.count(len(plan.lines), 'change')}?")
    done = inventory.apply(front.app, wanted, document)
    settled = settle(front.app, done.node_ids, Wish(scope=SYSTEM, always=True))
    return output.finish(front, settled, f"made {output.count(len(done.lines), 'change')}", changes=list(done.lines))


def _read(path: Path) -> str:
    from vpnctl.errors import InvalidInput
    from vpnctl.rules import yamldoc

    try:
        if str(path) == "-":
            return sys.stdin.read(yamldoc.MAX_BYTES + 1)
        with path.open(encoding="utf-8") as file:
            return file.read(yamldoc.MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}",
            "name a YAML file, or - for stdin",
        ) from None


@commands.command("export")
def export(
    users: Annotated[bool, typer.Option("--users", help="People too.")] = False,
) -> int:
    """Print nodes, endpoints and plans as YAML. No keys and no secrets."""
    from vpnctl.actions.service import inventory_form

    front = current()
    text = inventory_form.export(front.app, users=users)
    if front.json:
        import yaml

        output.dump(yaml.safe_load(text))
    else:
        sys.stdout.write(text)
    return 0
