"""Typed settings: flag, then `VPNCTL_*`, then file, then default. The only reader of the environment.

Unknown keys and unknown `VPNCTL_*` variables are refused with the place where they stand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.rules import grammar, yamldoc


def _setting(help_text: str, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True)
class Settings:
    """All settings. Their documentation in docs/configuration.md is made from this class."""

    state_dir: Path = _setting("folder of the database and of lock files, mode 0700")
    database_url: str = _setting("where the database is: `sqlite:///PATH` or `postgresql+psycopg://USER@HOST/NAME`")
    key_file: Path = _setting(
        "file with the keys that seal secrets in the database, mode 0600; keep it off the database's disk if you can"
    )
    timezone: str = _setting("the operator's time zone, for months and for times on screens", "UTC")
    client_secrets: str = _setting(
        "`store` keeps clients' private keys sealed, so that a config can be shown again; "
        "`discard` keeps none: a lost config means `peer regen`",
        "store",
    )
    parallel: int = _setting("nodes worked on at once, 1 to 256", 64)
    migration_grace_hours: int = _setting(
        "how long an old peer lives on after its successor was delivered, 1 to 720 hours", 24
    )

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, or None when it is not SQLite."""
        return (
            Path(self.database_url.removeprefix("sqlite:///")) if self.database_url.startswith("sqlite:///") else None
        )


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in force. Raises InvalidInput with file and line (or the variable's name)."""
    env = os.environ if environ is None else environ
    root = os.geteuid() == 0
    path = config or default_file(env, root)
    values: dict[str, Any] = _defaults(env, root)
    values |= _from_file(path, required=config is not None)
    values |= _from_environment(env)
    if "database_url" not in values:
        values["database_url"] = f"sqlite:///{values['state_dir'] / 'vpnctl.db'}"
    return Settings(**values)


def default_file(env: Mapping[str, str], root: bool) -> Path:
    """Return where the config file is looked for when none is named."""
    return Path("/etc/vpnctl/vpnctl.yaml") if root else _home(env) / ".config/vpnctl/vpnctl.yaml"


def other_state(env: Mapping[str, str] | None = None) -> Path | None:
    """Return the database of the other kind of user (root's for a user, the sudo caller's for root) if it exists."""
    env = os.environ if env is None else env
    if os.geteuid() != 0:
        there = Path("/var/lib/vpnctl/vpnctl.db")
    elif env.get("SUDO_USER", "root") != "root":
        there = Path("/home") / Path(env["SUDO_USER"]).name / ".local/state/vpnctl/vpnctl.db"
    else:
        return None
    try:
        return there if there.exists() else None
    except PermissionError:
        return None


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or Path.home())


def _defaults(env: Mapping[str, str], root: bool) -> dict[str, Any]:
    if root:
        return {"state_dir": Path("/var/lib/vpnctl"), "key_file": Path("/etc/vpnctl/vault.key")}
    return {"state_dir": _home(env) / ".local/state/vpnctl", "key_file": _home(env) / ".config/vpnctl/vault.key"}


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise InvalidInput(f"there is no config file {path}", "leave --config out to use the defaults") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StateTrouble(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    document = yamldoc.load(text, str(path))
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise InvalidInput(f"{document.where(())}: expected `setting: value` lines")
    return {key: _checked(key, str(value), document.where((key,))) for key, value in document.data.items()}


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, text in env.items():
        if variable.startswith("VPNCTL_"):
            key = variable.removeprefix("VPNCTL_").lower()
            found[key] = _checked(key, text, f"environment variable {variable}")
    return found


def _checked(key: str, text: str, where: str) -> Any:
    """Return the typed value of one setting."""
    if key not in {each.name for each in fields(Settings)}:
        known = ", ".join(each.name for each in fields(Settings))
        raise InvalidInput(f"{where}: unknown setting '{grammar.clean(key)}'", f"known: {known}")
    try:
        return _parse(key, text)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {key}: {error.what}", error.hint) from None


def _parse(key: str, text: str) -> Any:
    if key in ("state_dir", "key_file"):
        if not text.startswith(("/", "~")):
            raise InvalidInput("expected an absolute path")
        return Path(text).expanduser()
    if key == "parallel":
        return grammar.whole(text, "number", 1, 256)
    if key == "migration_grace_hours":
        return grammar.whole(text, "number of hours", 1, 720)
    if key == "client_secrets" and text not in ("store", "discard"):
        raise InvalidInput("expected `store` or `discard`")
    if key == "timezone":
        _zone(text)
    if key == "database_url" and not text.startswith(("sqlite:////", "postgresql+psycopg://")):
        raise InvalidInput("expected sqlite:////absolute/path or postgresql+psycopg://…")
    return text


def _zone(text: str) -> None:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(f"'{grammar.clean(text)}' is not a time zone", "for example Europe/Berlin") from None
