"""The root command: nouns are loaded when they are used, errors are printed here and nowhere else."""

from __future__ import annotations

import io
import os
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from vpnctl import __version__
from vpnctl.cli.front import Front, paint, wrapped
from vpnctl.errors import InvalidInput, StateTrouble, VpnctlError, bug

NOUNS = {
    "init": ("state", "Create the state: key file, database, SSH key, recovery key."),
    "doctor": ("state", "Check this machine, keys, nodes and timers."),
    "status": ("state", "Show the service on one page: what needs attention."),
    "node": ("nodes", "Servers: add, provision, check, sync, retire."),
    "endpoint": ("endpoints", "Protocols that a node serves."),
    "user": ("users", "People: add, block, migrate, remove."),
    "peer": ("peers", "Devices: add, hand out, regenerate, suspend, revoke."),
    "plan": ("plans", "Tariffs, seeded from YAML."),
    "subscription": ("subscriptions", "Access by time: grant, extend, cancel."),
    "order": ("orders", "What people are about to buy, or bought."),
    "payment": ("payments", "Money: list, accept, give back, reconcile."),
    "trial": ("trials", "Trials, once a person."),
    "traffic": ("traffic", "Who moved how much."),
    "inventory": ("inventory", "YAML in and out."),
    "event": ("events", "The audit: who changed what."),
    "notice": ("notices", "Messages to people and admins."),
    "request": ("requests", "What people asked the bot for: grant, refuse."),
    "bot": ("bot", "The Telegram bot: run, lockdown."),
    "jobs": ("jobs", "Work on a timer."),
    "web": ("web", "The web process: webhooks, links, API."),
    "apikey": ("apikeys", "Keys to the JSON API: add, list, revoke."),
    "bus": ("bus", "NATS JetStream: setup, show."),
    "worker": ("worker", "What settles nodes and sends messages."),
    "backup": ("backup", "The whole service in one sealed file: create, verify, restore."),
    "db": ("db", "The database: upgrade, current."),
    "vault": ("vault", "The keys that seal secrets: rotate, recover."),
}
_FLAGS = {
    "--json": "json",
    "--yes": "yes",
    "-y": "yes",
    "--quiet": "quiet",
    "-q": "quiet",
    "--verbose": "verbose",
    "-v": "verbose",
    "--wide": "wide",
}
_EPILOG = "Global options may stand anywhere. Each noun has its own --help."
INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """Knows the nouns without importing them, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the nouns in the order of use."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the noun's module and return its command."""
        if cmd_name not in NOUNS:
            return None
        module = import_module(f"vpnctl.cli.{NOUNS[cmd_name][0]}")
        command = typer.main.get_command(module.commands)
        if isinstance(command, click.Group) and cmd_name in command.commands and NOUNS[cmd_name][0] == "state":
            return command.commands[cmd_name]
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in NOUNS.items()])


root = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vpnctl {__version__}")
        raise typer.Exit


@root.callback()
def _root(
    ctx: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Answer every question with yes.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No talk and no progress on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done on the nodes.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="All columns of tables, however narrow the terminal.")] = False,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Config file.")] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", metavar="FORMAT", help="json: one line per event on stderr; or text.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Run a VPN service from one command line."""
    if log_format not in (None, "text", "json"):
        raise InvalidInput("that is not a log format", "--log-format text, or json")
    ctx.obj = Front(json=json, yes=yes, quiet=quiet, verbose=verbose, wide=wide, config=config, log_format=log_format)


def main(argv: list[str] | None = None) -> int:  # noqa: PLR0911 - one per kind of end
    """Run one command line and return its exit code."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys
    _open_streams()
    args = global_first(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in args
    command = typer.main.get_command(root)
    try:
        if any(not arg.isprintable() and "\udc80" <= max(arg) <= "\udcff" for arg in args):
            raise InvalidInput("an argument is not UTF-8 text", "check the terminal's encoding")
        result = command.main(args=args, prog_name="vpnctl", standalone_mode=False)
        sys.stdout.flush()
        if result == INTERRUPTED:  # so a KeyboardInterrupt comes back here
            return _interrupted(as_json)
        return result if isinstance(result, int) else 0
    except VpnctlError as error:
        return _fail(as_json, error.what, error.code, error.hint)
    except click.exceptions.Exit as error:
        return _interrupted(as_json) if error.exit_code == INTERRUPTED else int(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(error.format_message() + "\n")
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "vpnctl"
        return _fail(as_json, once(error.format_message()), 2, _hint(error, where))
    except click.ClickException as error:
        return _fail(as_json, error.format_message(), 2, "vpnctl --help")
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(as_json)
    except (BrokenPipeError, SystemExit):
        # The reader of our output went away, as `head` does; that is not an error of ours. click makes it an exit.
        _swallow_output()
        return 0
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        what = f"cannot use{where or ' the output'}: {error.strerror or type(error).__name__}"
        code = _fail(as_json, what, StateTrouble.code, "check the path, who owns it, and the space left there")
        _drop_output()
        return code
    except Exception as error:  # noqa: BLE001 - the edge: a bug is reported in one line, without the values around it
        return _fail(as_json, bug(error), 1, "please report this line")


def _interrupted(as_json: bool) -> int:
    return _fail(as_json, "interrupted", INTERRUPTED, "what was saved is settled by the next run: vpnctl node sync")


def _hint(error: click.UsageError, where: str) -> str:
    """Return what to type: most who give a list a name mean the option that narrows it."""
    options = [word for param in error.ctx.command.params for word in param.opts] if error.ctx else []
    if "unexpected extra argument" in error.format_message() and "--user" in options:
        return f"{where} --user NAME   or: {where} --help"
    return f"{where} --help"


def once(text: str) -> str:
    """Return a message without a suggestion that two libraries made."""
    first, mark, rest = text.partition("Did you mean")
    return f"{first}{mark}{rest.split('Did you mean')[0]}".rstrip(" (") if mark else text


def _drop_output() -> None:
    """What could not be written is given up, or the interpreter complains of it once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _fail(as_json: bool, what: str, code: int, hint: str) -> int:
    from vpnctl.rules.grammar import clean

    what, hint = clean(what, 2000), clean(hint, 500)
    told = wrapped(f"error: {what}").replace("error:", paint("error:", "red"), 1)
    line = f"{told}\n" + (wrapped(f"hint: {hint}") + "\n" if hint else "")
    try:
        if as_json:
            import json

            sys.stdout.write(json.dumps({"error": what, "code": code, "hint": hint}) + "\n")
            sys.stdout.flush()
        else:
            sys.stderr.write(line)
    except (OSError, AttributeError):
        _swallow_output()  # nobody can hear us; the exit code still says it
    return code


def _open_streams() -> None:
    """Make the program runnable with closed streams, as `<&-` and `>&-` leave them; only those go to nowhere.

    What the terminal's encoding has no letter for is shown as an escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY if number else os.O_RDONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _swallow_output() -> None:
    """Point stdout and stderr to nowhere, so that closing them at exit cannot fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)


def global_first(args: list[str]) -> list[str]:
    """Return the arguments with global options, wherever they stand, moved to the front."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(args)
    for arg in waiting:
        if arg == "--":
            rest += [arg, *waiting]
        elif arg in _FLAGS:
            front.append(arg)
        elif arg in ("--config", "--log-format"):
            front += [arg, *([value] if (value := next(waiting, None)) is not None else [])]
        elif arg.startswith(("--config=", "--log-format=")):
            front.append(arg)
        else:
            rest.append(arg)
    return front + rest


def describe() -> Any:
    """Return the whole command tree, for docs/cli.md."""
    return typer.main.get_command(root)
