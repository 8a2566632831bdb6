"""Writes docs/cli.md and docs/configuration.md from the program. `make docs`; a test compares."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import click

HERE = Path(__file__).parent


def cli() -> str:
    """Return docs/cli.md."""
    from vpnctl.cli.main import describe

    parts = ["# Command line\n\nMade from the program by `make docs`. Global options may stand anywhere.\n"]
    root = describe()
    parts.append(_block(root, click.Context(root, info_name="vpnctl")))
    context = click.Context(root, info_name="vpnctl")
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        inner = click.Context(command, info_name=name, parent=context)
        parts.append(f"## vpnctl {name}\n")
        parts.append(_block(command, inner))
        for verb in command.list_commands(inner) if isinstance(command, click.Group) else ():
            leaf = command.get_command(inner, verb)
            parts.append(f"### vpnctl {name} {verb}\n")
            parts.append(_block(leaf, click.Context(leaf, info_name=verb, parent=inner)))
        if name == "jobs":
            parts.append(_jobs())
    return "\n".join(parts)


def _jobs() -> str:
    """Return a table of the jobs."""
    from vpnctl import jobs

    rows = [(name, jobs.module(name)) for name in jobs.NAMES]
    lines = [f"| `{name}` | {job.TIMER.interval} | {job.SUMMARY} |" for name, job in rows]
    return "\n".join(["| job | every | what it does |", "|---|---|---|", *lines, ""])


def _block(command: click.Command, context: click.Context) -> str:
    context.max_content_width = context.terminal_width = 100
    context.help_option_names = ["-h", "--help"]
    return f"```\n{command.get_help(context).rstrip()}\n```\n"


def configuration() -> str:
    """Return docs/configuration.md."""
    from vpnctl.settings import Settings

    lines = [
        "# Configuration",
        "",
        "Made from the program by `make docs`. A flag wins over `VPNCTL_*` in the environment, that over the file, that over",
        "the default. The file is `--config FILE`, else `/etc/vpnctl/vpnctl.yaml` for root and `~/.config/vpnctl/vpnctl.yaml`",
        "for others: lines `setting: value`. Unknown settings, and unknown variables that begin with `VPNCTL_`, are refused",
        "with the place where they stand. No setting turns a security check off.",
        "",
        "| setting | variable | default | meaning |",
        "|---|---|---|---|",
    ]
    places = {
        "state_dir": "`/var/lib/vpnctl` for root, else `~/.local/state/vpnctl`",
        "database_url": "SQLite in `state_dir`",
        "key_file": "`/etc/vpnctl/vault.key` for root, else `~/.config/vpnctl/vault.key`",
    }
    places |= {"bot_token": "none", "admin_ids": "none"}
    for each in fields(Settings):
        default = places.get(each.name) or ("" if each.default in (MISSING, None, "") else f"`{each.default}`")
        lines.append(f"| `{each.name}` | `VPNCTL_{each.name.upper()}` | {default} | {each.metadata['help']} |")
    lines += ["", "A password for PostgreSQL belongs into libpq's `~/.pgpass` or a service file, not into the URL.", ""]
    return "\n".join(lines)


def main() -> None:
    """Write both files."""
    (HERE / "cli.md").write_text(cli(), encoding="utf-8")
    (HERE / "configuration.md").write_text(configuration(), encoding="utf-8")


if __name__ == "__main__":
    main()
