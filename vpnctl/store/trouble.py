"""What a database's error means to a person: told by its code, never by words that happen to stand in its text."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from vpnctl.errors import Busy, StateTrouble, VpnctlError

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_POSTGRES_AGAIN = {
    "40001": "another change came first",
    "40P01": "two changes waited for each other",
    "55P03": "another program holds it",
    "57014": "it took too long",
    "25P03": "the change stood still for too long and was undone",
    "53300": "it has no connection left",
    "57P03": "it is starting up",
}
"""SQLSTATE (PostgreSQL, appendix A) -> what happened, where trying again is all there is to do."""
_POSTGRES_GONE = ("08", "57P01", "57P02", "57P05")
"""Classes and states that mean a lost or refused connection."""


def trouble(error: Any, path: Path | None) -> VpnctlError:
    """Return what a driver's error means: Busy where trying again helps, StateTrouble otherwise."""
    if isinstance(error, sqlite3.Error):
        return _sqlite(error, str(path))
    return _postgres(getattr(error, "sqlstate", None), error)


def first_line(error: Any) -> str:
    """Return the first line of an error's text; further lines of PostgreSQL's quote values."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sqlite(error: sqlite3.Error, where: str) -> VpnctlError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in _SQLITE_BUSY:
        return Busy(f"{where} is locked by another program", "close other programs that use it, try again")
    if code in _SQLITE_DAMAGED:
        return StateTrouble(f"{where} is damaged or no database", "restore a backup; keep the damaged file")
    said = {
        sqlite3.SQLITE_READONLY: (f"{where} is read-only", "check the disk and the file's owner and mode"),
        sqlite3.SQLITE_CANTOPEN: (f"cannot open {where}", "check that it exists and who may read it"),
        sqlite3.SQLITE_FULL: (f"no space left for {where}", "free some disk space; nothing was changed"),
        sqlite3.SQLITE_IOERR: (f"the disk failed while {where} was used", "look at the machine's journal: dmesg"),
    }.get(code)
    if said is not None:
        return StateTrouble(*said)
    if str(error).startswith("no such"):
        return StateTrouble(f"{where} has not the tables of vpnctl: {first_line(error)}", "vpnctl db current")
    return StateTrouble(f"{where}: {first_line(error)}", "vpnctl doctor")


def _postgres(state: str | None, error: Any) -> VpnctlError:
    if state in _POSTGRES_AGAIN:
        return Busy(f"the database is busy: {_POSTGRES_AGAIN[state]}; nothing was changed", "try again")
    if state is None or state.startswith(_POSTGRES_GONE):
        return StateTrouble(f"the database does not answer: {first_line(error)}", "is PostgreSQL running?")
    if state == "42P01":
        return StateTrouble("the database has not the tables of vpnctl", "vpnctl db current")
    if state == "53100":
        return StateTrouble("no space left for the database", "free some disk space; nothing was changed")
    return StateTrouble(f"the database: {first_line(error)}", "vpnctl doctor")
