"""One place decides between table and JSON, and how a value is written in either."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from vpnctl.actions.outcome import Reach, Settled
from vpnctl.cli.front import Front, paint, wrapped
from vpnctl.errors import InvalidInput, StateTrouble, worst
from vpnctl.rules import money
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret
from vpnctl.rules.sizes import human_size
from vpnctl.settings import no_colour

_BYTES = ("received", "sent", "traffic", "used", "total", "traffic_limit", "node_traffic", "per_active")


def show_list(front: Front, rows: Sequence[Any], columns: Sequence[str]) -> int:
    """Print rows: an array of whole rows as JSON, the named columns as a table."""
    if front.json:
        _dump([plain(row) for row in rows])
    elif rows:
        shown = [_fields(row) for row in rows]
        cells = [[_cell(front, name, row.get(name)) for name in columns] for row in shown]
        _table(front, [name.replace("_", " ") for name in columns], cells)
    return 0


def _fields(row: Any) -> dict[str, Any]:
    shown: dict[str, Any] = row.plain() if hasattr(row, "plain") else {}
    shown = shown or {each.name: getattr(row, each.name) for each in fields(row)}
    return row.for_people(shown) if hasattr(row, "for_people") else shown


def since_first(front: Front, rows: Sequence[Any], telling: Sequence[str]) -> Sequence[Any]:
    """Return rows of a time series from the first in which anything happened; --json gets all, as it asked for."""
    last = len(rows) - 1
    return rows if front.json else rows[next((n for n, row in enumerate(rows) if _told(row, telling)), last) :]


def _told(row: Any, telling: Sequence[str]) -> bool:
    return any(getattr(row, name) for name in telling)


def show_one(front: Front, row: Any, *, without: Sequence[str] = (), **more: Any) -> int:
    """Print one object: as JSON, or a line per field, but for those that people have no use for."""
    if front.json:
        _dump(plain(row) | {key: plain(value) for key, value in more.items()})
        return 0
    items = [(name, value) for name, value in _fields(row).items() if name not in without]
    width = max(len(name) for name, _ in items)
    for name, value in items:
        sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {_cell(front, name, value)}\n")
    return 0


def finish(
    front: Front, settled: Sequence[Settled], what: str, *, changed: bool = True, saved: str = "", **rows: Any
) -> int:
    """Report a change: on stderr what was proven and what is pending, with --json one object. Return the exit code.

    `what` holds when every node was seen to agree; `saved` is said where some did not.
    """
    pending = [each for each in settled if each.code]
    code = worst(each.code for each in settled)
    if front.json:
        notes = [{"node": each.node, **plain(note)} for each in settled for note in each.notes]
        body = {"changed": changed, "pending": [_pending(each) for each in pending], "notes": notes}
        _dump(body | {key: plain(value) for key, value in rows.items()})
        return code
    for each in settled:
        if front.verbose:
            for change in each.changes:
                front.say(f"  {each.node}: {clean(str(change))}")
        for note in each.notes:
            front.say(f"note: {each.node}: {clean(str(note))}")
            front.say(f"    {clean(note.advice)}")
    for each in pending:
        error = each.error.removeprefix(f"{each.node}: ")
        word = {6: "stopped", 7: "not trusted", 9: "not all was done"}.get(each.code, "saved, but pending")
        rest = _REST.get(each.done, "")
        warn(f"{each.node}: {clean(error)}{rest}" if rest else f"{word} on {each.node}: {clean(error)}", each.hint)
    said = saved if pending else what
    if said:
        front.say(said)
    return code


_REST = {
    Reach.ELSEWHERE: "; what concerns it is saved and pending, all else there is done",
    Reach.ALL: "; what was asked is done there",
}


def show_preview(front: Front, settled: Sequence[Settled], *, drift: bool = False) -> int:
    """Print what would change. As a drift report, differences are exit code 4."""
    if front.json:
        body = [
            {
                "node": each.node,
                "changes": [plain(change) for change in each.changes],
                "notes": [plain(note) for note in each.notes],
                "error": each.error or None,
                "code": each.code,
            }
            for each in settled
        ]
        _dump(body if drift else {"changed": False, "dry_run": True, "nodes": body})
    else:
        for each in settled:
            for change in each.changes:
                line(f"{each.node}: {clean(str(change))}")
            if each.error:
                warn(clean(each.error), each.hint)
            for note in each.notes:
                line(f"{each.node}: {clean(str(note))}\n    {clean(note.advice)}")
            if not (each.changes or each.notes or each.error):
                front.say(f"{each.node}: agrees, nothing to change")
    codes = [each.code for each in settled]
    codes += [4] if drift and any(each.changes or each.notes for each in settled) else []
    return worst(codes)


def line(text: str) -> None:
    """Write a line of what was asked for to stdout; on a terminal it is broken at words."""
    sys.stdout.write(wrapped(text, sys.stdout) + "\n")


def warn(text: str, hint: str = "") -> None:
    """Write a warning, and what to type next, to stderr."""
    told = wrapped(f"warning: {text}").replace("warning:", paint("warning:", "yellow"), 1)
    sys.stderr.write(f"{told}\n" + (wrapped(f"hint: {clean(hint)}") + "\n" if hint else ""))


def plain(value: Any) -> Any:
    """Return a value in JSON's types: times RFC 3339 in UTC, secrets `***`."""
    if hasattr(value, "plain"):
        return {key: plain(item) for key, item in value.plain().items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def dump(value: Any) -> None:
    """Print one JSON document."""
    _dump(plain(value))


def _dump(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def _pending(each: Settled) -> dict[str, Any]:
    return {"node": each.node, "code": each.code, "error": each.error, "hint": each.hint, "done": each.done}


def _cell(front: Front, name: str, value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{100 * value:.0f} %" if name == "loss" else f"{value:.1f}"
    if isinstance(value, datetime):
        return value.astimezone(front.settings.zone).strftime("%Y-%m-%d %H:%M")
    if name in _BYTES:
        return human_size(value)
    if isinstance(value, list):
        return clean(", ".join(_inner(item) for item in value)) or "-"
    return _pairs(name, value) if isinstance(value, dict) else clean(str(value))


def _inner(value: Any) -> str:
    """Return a value inside a list or a mapping: yes and no, `-` for nothing, one text for several."""
    if value is None or value in ("", [], (), {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "+".join(_inner(item) for item in value)
    if isinstance(value, dict):
        return "+".join(f"{key}:{_inner(item)}" for key, item in sorted(value.items()))
    return str(value)


def _pairs(name: str, value: dict[str, Any]) -> str:
    """Money as amounts with their currencies, anything else as it is."""
    if name in ("prices", "revenue", "refunded"):
        return ", ".join(money.written(amount, code) for code, amount in sorted(value.items())) or "-"
    return clean(", ".join(f"{key}={_inner(item)}" for key, item in sorted(value.items())), 120) or "-"


def write_new(path: Path, data: bytes) -> None:
    """Write a file that only we can read. InvalidInput when it exists or cannot be written."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already", "name another file") from None
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def reveal_once(secret: Secret, again: str) -> None:
    """Print a secret that is shown only now. StateTrouble, with the command that makes another, when nobody sees it."""
    try:
        if _goes_nowhere():
            raise OSError
        sys.stdout.write(secret.reveal() + "\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - so that the end of the program finds one
        raise StateTrouble("the recovery key could not be shown, and is shown only once", again) from None


def _goes_nowhere() -> bool:
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), Path(os.devnull).stat())
    except (OSError, ValueError):
        return False  # no file at all, as in tests


def count(number: int, noun: str, plural: str = "") -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _table(front: Front, titles: list[str], cells: list[list[str]]) -> None:
    """Draw a table on a terminal; elsewhere aligned columns without decoration, for grep and awk.

    Columns stand in the order of their importance: on a narrow terminal those at the end are left out and named,
    unless --wide was given. No word is broken.
    """
    if not sys.stdout.isatty():
        widths = [max(len(line[column]) for line in [titles, *cells]) for column in range(len(titles))]
        for line in [titles, *cells]:
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            sys.stdout.write(text.rstrip() + "\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = [max(cell_len(line[column]) for line in [titles, *cells]) for column in range(len(titles))]
    have = shutil.get_terminal_size().columns
    kept = len(titles) if front.wide else fitting(widths, have)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles[:kept]:
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for row in cells:
        styles = (STYLES.get(cell, "") if title in _STATES else "" for title, cell in zip(titles, row, strict=True))
        table.add_row(*(Text(cell, style=style) for cell, style in zip(row[:kept], styles, strict=False)))
    wide = max(have, sum(widths) + _GAP * len(widths) + _EDGES) if front.wide else have
    Console(no_color=no_colour() or None, width=wide).print(table)
    if kept < len(titles):
        front.say(f"left out at this width: {', '.join(titles[kept:])}; --wide shows all")


_GAP, _EDGES = 3, 2
_STATES = ("state", "health", "packets", "access", "verdict")
STYLES = dict.fromkeys(
    ("error", "blocked", "down", "revoked", "expired", "FAIL", "no packets pass"), "red"
) | dict.fromkeys(
    ("pending", "degraded", "flapping", "not provisioned", "warn", "suspended", "expiring_soon"), "yellow"
)
"""What catches the eye, where there is colour: states that need somebody."""


def fitting(widths: Sequence[int], have: int) -> int:
    """Return how many columns, from the first on, fit into `have` cells; the first two are always kept."""
    used = _EDGES
    for number, width in enumerate(widths):
        used += width + (_GAP if number else 0)
        if used > have and number >= 2:  # noqa: PLR2004
            return number
    return len(widths)
