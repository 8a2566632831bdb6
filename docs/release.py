"""`make release VERSION=X.Y.Z`: version, changelog section, wheel and sdist built twice and compared, SBOM, checksums.

Nothing is committed or sent anywhere; what to type next is printed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
SBOM_TOOL = "cyclonedx-bom==7.5.0"
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?")
PLACES = (("pyproject.toml", 'version = "{}"'), ("vpnctl/__init__.py", '__version__ = "{}"'))


class Refused(Exception):  # noqa: N818 - errors are named for what went wrong
    """A release that cannot be made, and why."""


def changelog(text: str, version: str, day: date) -> str:
    """Return the changelog with what is unreleased under the new version. Refused when there is nothing, or it is there."""
    before, mark, rest = text.partition("## [Unreleased]\n")
    if f"## [{version}]" in text:
        raise Refused(f"CHANGELOG.md has a section {version} already")
    news, following, older = rest.partition("\n## [")
    if not mark or not news.strip():
        raise Refused("CHANGELOG.md has nothing under [Unreleased]")
    return f"{before}{mark}\n## [{version}] - {day.isoformat()}\n{news}{following}{older}"


def bump(text: str, form: str, old: str, new: str) -> str:
    """Return a file's text with the new version in the place of the old one. Refused when it is not there once."""
    if text.count(form.format(old)) != 1:
        raise Refused(f"the version {old} does not stand there once")
    return text.replace(form.format(old), form.format(new))


def build(source: Path, target: Path, epoch: str) -> dict[str, str]:
    """Build wheel and sdist of `source` into `target`; return file name -> sha256."""
    env = os.environ | {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    subprocess.run(command, cwd=source, env=env, check=True, capture_output=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())}


def reproducible(source: Path, target: Path, epoch: str) -> dict[str, str]:
    """Build twice, from two folders; Refused unless both are the same bytes. Return file name -> sha256."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "elsewhere"
        shutil.copytree(
            source, copy, ignore=shutil.ignore_patterns(".venv*", ".git", "dist", "__pycache__", ".*_cache")
        )
        made, again = build(source, target, epoch), build(copy, Path(folder) / "dist", epoch)
    if made != again:
        raise Refused(f"two builds differ: {sorted(made.items() ^ again.items())}")
    return made


def sbom(target: Path, version: str) -> Path:
    """Write what the program installs with all its extras, as CycloneDX; return the file."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+==[^ \\]+)", lock, re.MULTILINE)
    wheel = next(target.glob("*.whl"))
    made = target / f"vpnctl-{version}.cdx.json"
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "pins.txt").write_text("\n".join(pins) + "\n")
        for name, what in (("product", f"{wheel}[bot,postgres]"), ("tool", SBOM_TOOL)):
            subprocess.run([sys.executable, "-m", "venv", str(home / name)], check=True)
            pip = [str(home / name / "bin/pip"), "install", "-q", "--disable-pip-version-check", what]
            subprocess.run([*pip, *(["-c", str(home / "pins.txt")] if name == "product" else [])], check=True)
        tool, product = home / "tool/bin/cyclonedx-py", home / "product/bin/python"
        command = [str(tool), "environment", str(product), "--pyproject", str(ROOT / "pyproject.toml"), "--short-PURLs"]
        subprocess.run([*command, "--output-reproducible", "-o", str(made)], check=True)
    return made


def _git(*words: str) -> str:
    command = [shutil.which("git") or "git", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main(version: str) -> None:
    """Make the release. Raises Refused with a reason."""
    if not VERSION.fullmatch(version):
        raise Refused("which version? make release VERSION=0.2.0")
    if _git("status", "--porcelain"):
        raise Refused("the working tree is not clean: commit or stash first")
    from vpnctl import __version__

    log = ROOT / "CHANGELOG.md"
    log.write_text(changelog(log.read_text(encoding="utf-8"), version, datetime.now(UTC).date()), encoding="utf-8")
    for name, form in PLACES:
        path = ROOT / name
        path.write_text(bump(path.read_text(encoding="utf-8"), form, __version__, version), encoding="utf-8")
    target = ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    made = reproducible(ROOT, target, _git("log", "-1", "--format=%ct"))
    extra = sbom(target, version)
    made[extra.name] = hashlib.sha256(extra.read_bytes()).hexdigest()
    (target / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(made.items())))
    sys.stdout.write((target / "SHA256SUMS").read_text())
    sys.stdout.write(
        f"\nnext: git commit -am 'Release {version}' && git tag -s v{version}, then upload what is in dist/\n"
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except Refused as why:
        sys.exit(f"error: {why}")
