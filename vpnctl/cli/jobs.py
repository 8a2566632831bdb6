"""`vpnctl jobs …`."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_jobs
from vpnctl.cli.front import current
from vpnctl.rules.grammar import clean

commands = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Work on a timer.")

SYSTEMD = Path("/etc/systemd/system")


@commands.command("list")
def list_() -> int:
    """List the jobs, their last runs, and what is due."""
    from vpnctl import jobs

    front = current()
    rows = jobs.overview(front.app)
    return output.show_list(front, rows, ("job", "interval", "last_started_at", "last_code", "due", "summary"))


@commands.command("run")
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Which jobs.", autocompletion=complete_jobs)
    ] = None,
    due: Annotated[bool, typer.Option("--due", help="All whose time has come.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what they would do.")] = False,
) -> int:
    """Run jobs now. Exit 0 also when nodes are only pending, so that a dead node is no failed run.

    After a jump of this machine's clock, jobs that go by it stop with exit 6 until they are run with --yes.
    """
    from vpnctl import jobs
    from vpnctl.errors import InvalidInput, worst

    front = current()
    for name in names or []:
        jobs.module(name)
    wanted = [*(names or []), *(jobs.due(front.app) if due else [])]
    if not wanted and not due:
        raise InvalidInput("which jobs?", "vpnctl jobs run NAME..., or: vpnctl jobs run --due")
    mode = jobs.Mode(dry_run=dry_run, force=front.yes)
    reports = [_run(name, mode, go_on=due) for name in dict.fromkeys(wanted)]
    if front.json:
        output.dump(reports)
    for report in reports:
        front.say(f"{report.job}: {report.what}")
        for line in report.detail.get("changes", []):
            front.say(f"  {clean(str(line))}")
        for node, error in report.detail.get("pending", {}).items():
            front.say(f"  {node}: {clean(str(error))}")
    if not reports:
        front.say("nothing is due")
    return worst(report.code for report in reports)


def _run(name: str, mode: Any, *, go_on: bool) -> Any:
    """Run one job. Among all that are due, one that cannot run keeps none of the others from running."""
    from time import monotonic

    from vpnctl import jobs, journal
    from vpnctl.errors import VpnctlError

    front = current()
    began = monotonic()
    try:
        report = jobs.run(front.app, name, mode)
    except VpnctlError as error:
        if not go_on:
            raise
        report = jobs.Report(name, error.code, f"{error.what}; {error.hint}" if error.hint else error.what)
    if front.log_json:
        journal.job(name, monotonic() - began, report.code, report.what)
    return report


@commands.command("history")
def history(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this job.", autocompletion=complete_jobs)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most this many.")] = 20,
) -> int:
    """List past runs, the newest first. One without an end was killed, or is still at work."""
    from vpnctl import jobs

    front = current()
    if name is not None:
        jobs.module(name)
    rows = jobs.history(front.app, name, limit)
    if not rows:
        front.say("no runs yet; vpnctl jobs install")
    return output.show_list(front, rows, ("job", "started_at", "code", "what", "finished_at"))


@commands.command("failed", hidden=True)
def failed(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which job.", autocompletion=complete_jobs)],
) -> int:
    """Tell the admins that a timer's run failed. systemd's OnFailure and crontab lines call this."""
    from vpnctl import jobs

    front = current()
    count = jobs.failed(front.app, name)
    front.say(f"{count} messages enqueued")
    return 0


@commands.command("install")
def install(
    cron: Annotated[bool, typer.Option("--cron", help="Print crontab lines instead.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the units instead of installing them.")] = False,
    bot: Annotated[bool, typer.Option("--bot", help="Also a unit that keeps the Telegram bot running.")] = False,
) -> int:
    """Write systemd timers that run the jobs, and start them."""
    from vpnctl.errors import InvalidInput, StateTrouble
    from vpnctl.jobs import timers

    front = current()
    program, config = _program(), _config_path()
    lines_only = cron or not (show or Path("/run/systemd/system").is_dir())
    if show and not config.exists():
        front.say(f"note: {config} does not exist; `vpnctl jobs install` writes it")
    if cron and bot:
        front.say("note: cron keeps nothing running; start `vpnctl bot run` with what supervises your services")
    if lines_only:
        front.say("add these lines with `crontab -e`:")
        sys.stdout.write(timers.crontab(program, _named_config(config)))
        return 0
    texts = timers.units(program, config, getpass.getuser(), bot=bot)
    if show:
        sys.stdout.write("\n".join(f"# {SYSTEMD / name}\n{text}" for name, text in texts.items()))
        return 0
    if os.geteuid() != 0:
        raise InvalidInput("only root writes to /etc/systemd/system", "as root, or: vpnctl jobs install --cron")
    also = "" if config.exists() else f", and the settings in force to {config}"
    if bot and not front.settings.bot_token.reveal():
        raise InvalidInput("there is no bot token", f"set bot_token in {config}, or leave --bot out")
    front.confirm(f"Write {len(texts)} units to {SYSTEMD}{also}, and start them?")
    _write_config(config)
    for name, text in texts.items():
        (SYSTEMD / name).write_text(text, encoding="ascii")
        (SYSTEMD / name).chmod(0o644)
    started = [name for name in texts if name.endswith(".timer") or name == timers.BOT]
    for command in (["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "-q", *started]):
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError):
            raise StateTrouble(
                f"systemd did not do `{' '.join(command[:3])} …`", "systemctl status 'vpnctl-*'; then run this again"
            ) from None
    return output.finish(
        front, [], "installed; look at them with: systemctl list-timers 'vpnctl-*'", units=sorted(texts)
    )


def _program() -> str:
    """Return the absolute path of the program that runs now."""
    from vpnctl.errors import StateTrouble

    here = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("vpnctl")
    found = next((str(path.resolve()) for path in (here, beside) if path.name == "vpnctl" and path.exists()), None)
    found = found or shutil.which("vpnctl")
    if found is None:
        raise StateTrouble("the vpnctl program is not on the PATH", "install it: pipx install vpnctl-operator")
    return found


def _config_path() -> Path:
    """Return the absolute path of the config file in force, whether it exists or not."""
    from vpnctl.settings import default_file

    return (current().config or default_file(os.environ, os.geteuid() == 0)).absolute()


def _named_config(path: Path) -> Path | None:
    """Return the config file for crontab lines, None where a bare environment finds the same settings without one.

    Nothing is written: lines that name a file that nobody writes would fail for ever.
    """
    from vpnctl.settings import load

    bare = {"HOME": os.environ.get("HOME", "")}
    if path.exists() or load(None, bare) == current().settings:
        return path if path.exists() else None
    current().say(f"note: these settings come from the environment, which cron has not: write them to {path} first")
    return path


def _write_config(path: Path) -> None:
    """Write the settings in force to the config file when there is none.

    A timer must not depend on who runs it: with a path it either finds the same settings or fails loudly.
    """
    from vpnctl.settings import written
    from vpnctl.store.vault import write_private

    front = current()
    if not path.exists():
        write_private(path, written(front.settings))
        front.say(f"wrote {path}")
