"""Typed settings: flag, then `VPNCTL_*`, then file, then default. The only reader of the environment.

Unknown keys and unknown `VPNCTL_*` variables are refused with the place where they stand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.payment_settings import PaymentSettings, setting
from vpnctl.rules import grammar, yamldoc
from vpnctl.rules.secret import Secret
from vpnctl.rules.translation import Persian
from vpnctl.serving_settings import Listen, ServingSettings
from vpnctl.setting_values import parse


@dataclass(frozen=True, kw_only=True)
class Settings(PaymentSettings, ServingSettings):
    """All settings. Their documentation in docs/configuration.md is made from this class."""

    state_dir: Path = setting("folder of the database and of lock files, mode 0700")
    database_url: str = setting("where the database is: `sqlite:///PATH` or `postgresql+psycopg://USER@HOST/NAME`")
    key_file: Path = setting(
        "file with the keys that seal secrets in the database, mode 0600; keep it off the database's disk if you can"
    )
    timezone: str = setting("the operator's time zone, for months and for times on screens", "UTC")
    client_secrets: str = setting(
        "`store` keeps clients' private keys sealed, so that a config can be shown again; "
        "`discard` keeps none: a lost config means `peer regen`",
        "store",
    )
    parallel: int = setting("nodes worked on at once, 1 to 256", 64)
    login_seconds: int = setting(
        "how long a server may take from the connection to the end of the login, 5 to 300 seconds", 10
    )
    migration_grace_hours: int = setting(
        "how long an old peer lives on after its successor was delivered, 1 to 720 hours", 24
    )
    expiring_soon_hours: int = setting("a subscription that ends within this is `expiring_soon`, 1 to 720 hours", 24)
    extend_once: bool = setting("`yes` refuses to extend a subscription that a further period follows already", False)
    bot_token: Secret = setting("the Telegram bot's token; `jobs run notify` sends messages with it", Secret(""))
    telegram_api_url: str = setting("where the Bot API is", "https://api.telegram.org")
    telegram_rate: int = setting("messages sent a second over all chats, 1 to 1000; Telegram takes about 30", 25)
    admin_ids: tuple[int, ...] = setting("Telegram ids of the admins, with commas between them", ())
    tech_chat_id: int = setting("Telegram chat for technical alerts, often negative; 0: the admins get them", 0)
    strangers: str = setting("whether strangers may `apply` for access at the bot, or it is to `refuse` them", "apply")
    support_contact: str = setting(
        "where people write to an admin, a button in the bot: `@NAME` on Telegram or a URL; empty: no button", ""
    )
    persian_digits: bool = setting("`no`: Persian texts have the digits 0 to 9", True)
    persian_calendar: bool = setting("`no`: Persian texts have dates of the Gregorian calendar, not Solar Hijri", True)
    approve_configs: bool = setting(
        "`yes`: an admin must approve each new config that somebody asks the bot for", False
    )
    xray_archive: str = setting(
        "another source of Xray's archive for nodes, as `URL#sha256=HEX`; `file://` is a path on the node; "
        "empty: the official release that this vpnctl was made for",
        "",
    )
    amneziawg_repository: str = setting(
        "another source of AmneziaWG's packages for nodes, as `URL KEY_URL FINGERPRINT`: a copy of its makers' package "
        "repository, and the key that signs it; `file://` is a path on the node; empty: the makers' own",
        "",
    )
    backup_folder: Path | None = setting("where backups are written; empty: `backups` in state_dir", None)
    backup_sftp: str = setting(
        "another machine that backups are copied to, as `USER@HOST[:PORT]/FOLDER SHA256:FINGERPRINT` of its host key; "
        "it must let in the key that `vpnctl node key` prints; empty: none",
        "",
    )
    backup_command: str = setting("a program that gets the path of each new backup as its argument; empty: none", "")
    dns_command: str = setting(
        "a program that `node rebuild` runs to change a DNS record, with the arguments NODE NAME ADDRESS; empty: none",
        "",
    )
    evacuate_to: tuple[str, ...] = setting(
        "nodes, with commas between them, to which the job `evacuate` may move people off a node whose health is "
        "`blocked`; empty: it moves nobody",
        (),
    )
    evacuate_devices: int = setting("how many devices the job `evacuate` may move a day, 1 to 100000", 50)
    heartbeat_url: str = setting(
        "a dead man's switch (as healthchecks.io has): fetched after every job that went well", ""
    )
    metrics_file: str = setting(
        "where `jobs run metrics` writes; with node_exporter a `.prom` file in its textfile directory; "
        "empty: `metrics.prom` in state_dir",
        "",
    )
    max_latency_ms: int = setting("`health` warns when a measurement is slower, 0 to 100000; 0: never", 0)
    min_throughput_mbit: int = setting("`health` warns when a measurement is less, 0 to 100000; 0: never", 0)
    log_format: str = setting("`json` writes one line per event to stderr; `text` does not", "text")

    @property
    def zone(self) -> tzinfo:
        """The operator's time zone."""
        if self.timezone == "UTC":
            return UTC
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.timezone)

    @property
    def persian(self) -> Persian:
        """How numbers and dates are written in Persian texts."""
        return Persian(self.persian_digits, self.persian_calendar)

    @property
    def archives(self) -> dict[str, tuple[str, str]]:
        """The operator's own sources of programs: name -> (URL, sha256 in hex)."""
        url, _, digest = self.xray_archive.partition("#sha256=")
        return {"xray": (url, digest)} if url else {}

    @property
    def repositories(self) -> dict[str, tuple[str, str, str]]:
        """The operator's own sources of packages: name -> (URL, URL of the key, its fingerprint)."""
        if not self.amneziawg_repository:
            return {}
        url, key, fingerprint = self.amneziawg_repository.split()
        return {"amneziawg": (url, key, fingerprint)}

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


def written(settings: Settings) -> str:
    """Return the text of a config file that gives these settings; what is as by default is left out.

    It may hold the bot's token, so the file must be private.
    """
    always = ("state_dir", "database_url", "key_file")
    lines = []
    for each in fields(Settings):
        value = getattr(settings, each.name)
        if each.name in always or value != each.default:
            lines.append(f"{each.name}: {_as_text(value)}\n")
    return "".join(lines)


def _as_text(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return quoted(("|" if isinstance(value[0][1], str) else ",").join(f"{key}={each}" for key, each in value))
    if isinstance(value, bool):
        return "'yes'" if value else "'no'"
    if isinstance(value, tuple) and not isinstance(value, Listen):
        return quoted(",".join(map(str, value)))
    text = value.reveal() if isinstance(value, Secret) else str(value)
    return text if isinstance(value, int) else quoted(text)


def quoted(text: str) -> str:
    """Return a text as YAML that is read as that text and nothing else."""
    return "'" + text.replace("'", "''") + "'"


def no_colour() -> bool:
    """Return whether the environment asks for screens without colour (no-color.org)."""
    return "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"


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


def config_file(named: Path | None) -> Path:
    """Return the config file that is used: the named one, else where it is looked for."""
    return named or default_file(os.environ, os.geteuid() == 0)


def _home(env: Mapping[str, str]) -> Path:
    try:
        return Path(env.get("HOME") or Path.home())
    except RuntimeError:  # a user id without a name
        raise InvalidInput("there is no home directory: HOME is not set", "HOME=/path vpnctl …") from None


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
    return {key: _checked(key, _as_typed(value), document.where((key,))) for key, value in document.data.items()}


def _as_typed(value: Any) -> str:
    """Return a YAML value as it would stand in the environment: a list with commas between its items."""
    if isinstance(value, list):
        return ",".join(map(_as_typed, value))
    if isinstance(value, dict) and all(isinstance(each, str | int) for each in value.values()):
        return "|".join(f"{code}={each}" for code, each in value.items())
    if isinstance(value, dict):
        raise InvalidInput("a setting has one value, not a mapping", "docs/configuration.md")
    return "" if value is None else str(value)


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
        return parse(key, text)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {key}: {error.what}", error.hint) from None
