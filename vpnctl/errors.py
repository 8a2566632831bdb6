"""The errors of vpnctl. Each class owns its exit code; each error carries the next thing to type."""

from __future__ import annotations

import sys
from collections.abc import Iterable

OK, PENDING, DRIFT = 0, 3, 4
"""Exit codes of expected outcomes, which are values and not errors."""

_WORST_FIRST = (1, 9, 7, 6, 10, 8, 5, 2, 3, 4, 0)


class VpnctlError(Exception):
    """Root of all errors that are shown to people as one line and a hint."""

    code = 1
    usual_hint = ""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint or self.usual_hint


class InvalidInput(VpnctlError):  # noqa: N818 - errors are named for what went wrong
    """What was typed, or a file that was given, is not valid."""

    code = 2
    usual_hint = "the --help of the command says what it takes"


class NotFound(VpnctlError):  # noqa: N818
    """No object of that name."""

    code = 5


class Conflict(VpnctlError):  # noqa: N818
    """The wish conflicts with an object that exists, or with its state."""

    code = 5


class LimitReached(Conflict):
    """All the devices that this person may have are there."""


class TrialUsed(Conflict):
    """This person had a trial, or had access before."""


class TooOften(Conflict):
    """The same person, or an admin's account, did that too often of late."""


class WaitsAlready(Conflict):
    """What this person asked for before still waits for a word."""


class Stopped(VpnctlError):  # noqa: N818
    """A brake, or a confirmation that nobody gave, stopped it."""

    code = 6


class Distrust(VpnctlError):  # noqa: N818
    """Host key unknown or changed, a foreign token, a foreign server key."""

    code = 7


class Busy(VpnctlError):  # noqa: N818
    """Another process holds what is needed."""

    code = 8


class StateTrouble(VpnctlError):  # noqa: N818
    """Database, disk or key file cannot be used."""

    code = 9


class Unreachable(VpnctlError):  # noqa: N818
    """A node does not answer, or not in time."""

    code = 10


class NodeFailed(Unreachable):
    """A node answered, but a step on it failed or its answer makes no sense."""


class Interrupted(VpnctlError):  # noqa: N818
    """Somebody pressed Ctrl-C, or a signal ended it, where more than the usual is to be said."""

    code = 130
    usual_hint = "what was saved is settled by the next run: vpnctl node sync"


def adding(requirement: str) -> str:
    """Return the command that adds a package to the Python that runs now, whatever installed vpnctl into it."""
    return f"{sys.executable} -m pip install '{requirement}'"


def bug(error: BaseException) -> str:
    """Name a bug by type and place only: texts of unknown exceptions may hold secrets."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else "?"
    return f"a bug in vpnctl: {type(error).__name__} at {place}"


def told(error: BaseException) -> str:
    """Return what is said of an exception: ours by its own text, any other as a bug, by type and place."""
    return error.what if isinstance(error, VpnctlError) else bug(error)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that speaks for all of `codes` (README, "Exit codes")."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), OK if not found else 1)
