"""The command line's side of every command: its flags, its app, its questions, its progress."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vpnctl.app import App, open_app, silent, whoami
from vpnctl.errors import Interrupted, Stopped
from vpnctl.rules.grammar import clean
from vpnctl.settings import Settings, load, no_colour

if TYPE_CHECKING:
    from vpnctl.rules.secret import Secret


@dataclass
class Front:
    """The global options of one call, and what is opened on their behalf."""

    json: bool = False
    yes: bool = False
    quiet: bool = False
    verbose: bool = False
    wide: bool = False
    config: Path | None = None
    log_format: str | None = None
    _settings: Settings | None = field(default=None, repr=False)
    _app: App | None = field(default=None, repr=False)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        if self._settings is None:
            self._settings = load(self.config)
        return self._settings

    @property
    def log_json(self) -> bool:
        """Whether events are to be written to stderr as JSON lines."""
        return (self.log_format or self.settings.log_format) == "json"

    @property
    def app(self) -> App:
        """The opened app."""
        if self._app is None:
            from vpnctl import journal

            journal.capture(json_lines=self.log_json, verbose=self.verbose)
            self._app = open_app(self.settings, whoami(), self.progress if self._lively() else silent)
            if self.log_json:
                self._app.store.journal = journal.write
        return self._app

    def _lively(self) -> bool:
        return sys.stderr.isatty() and not self.quiet and not self.json and not self.log_json

    def progress(self, what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Show a progress bar on stderr; it disappears when the work is done."""
        return _bar(what, total)

    def say(self, text: str) -> None:
        """Context to the person, on stderr."""
        if not self.quiet:
            sys.stderr.write(wrapped(text) + "\n")

    def confirm(self, question: str, flag: str = "--yes") -> None:
        """Ask; without a terminal the answer must have been given by the flag. Raises Stopped on no."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise Stopped(f"{question} Nobody was there to answer", f"give {flag}")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Stopped("not confirmed; nothing was changed")

    def read_secret(self, what: str, flag: str) -> Secret:
        """Read a secret from stdin; on a terminal it is not echoed."""
        from vpnctl.errors import InvalidInput
        from vpnctl.rules.secret import Secret

        if sys.stdin.isatty():
            import getpass

            text = getpass.getpass(f"{what}: ", stream=sys.stderr)
        else:
            text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise InvalidInput(f"no {what} was given", f"pipe it into {flag}, or type it on a terminal")
        return Secret(text)


@contextlib.contextmanager
def interruptible(hint: str) -> Iterator[None]:
    """Say what to type next when Ctrl-C ends the block: what was committed before it is not undone."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted", hint) from None


def current() -> Front:
    """Return the front of the running command."""
    found = click.get_current_context().find_root().obj
    return found if isinstance(found, Front) else Front()


@contextlib.contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def paint(text: str, colour: str) -> str:
    """Return text in a colour where stderr is a terminal that wants some."""
    if not sys.stderr.isatty() or no_colour():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


_COLOURS = {"red": 31, "yellow": 33}


def wrapped(text: str, stream: TextIO | None = None) -> str:
    """Return text for stderr (or another stream) with lines broken at words where a terminal would break inside them.

    A line that holds a command stays whole, so that it can be copied.
    """
    if not (stream or sys.stderr).isatty():
        return text
    width = max(shutil.get_terminal_size().columns, 20)
    return "\n".join(line if _COMMAND.search(line) else _folded(line, width) for line in text.split("\n"))


_COMMAND = re.compile(r"vpnctl |^(hint: )? *(/|(apt|chmod|chown|mkdir|nft|pip|pipx|rm|ssh|systemctl|ufw)\b)")


def _folded(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    import textwrap

    indent = line[: len(line) - len(line.lstrip())]
    words = textwrap.TextWrapper(width, indent, f"{indent}  ", break_long_words=False, break_on_hyphens=False)
    return words.fill(line.strip())


def shown(text: str) -> str:
    """Return text of any origin fit for the terminal."""
    return clean(text)
