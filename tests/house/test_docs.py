"""Documentation cannot drift: what is generated is compared, what is named must exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from docs import generate
from tests.conftest import cannot
from vpnctl.cli.main import describe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "text"), [("cli.md", generate.cli), ("configuration.md", generate.configuration)])
def test_generated_documents_are_current(name, text):
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text(), "run: make docs"


def leaves(command, context):
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from leaves(child, click.Context(child, info_name=name, parent=context))
    else:
        yield command, context


def test_every_command_and_option_has_a_help_text():
    root = describe()
    found = list(leaves(root, click.Context(root, info_name="vpnctl")))
    assert len(found) > 40
    for command, context in found:
        assert command.help, context.command_path
        for parameter in command.params:
            assert getattr(parameter, "help", ""), f"{context.command_path} {parameter.name}"


DOCUMENTS = ["README.md", "runbook.md", "docs/security.md", "docs/architecture.md", "docs/bot.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_a_document_names_exists(document):
    root = describe()
    context = click.Context(root, info_name="vpnctl")
    text = (ROOT / document).read_text(encoding="utf-8")
    for noun, verb in re.findall(r"\bvpnctl (?:--yes )?([a-z]+)(?: ([a-z-]+))?", text):
        command = root.get_command(context, noun)
        if noun in ("is", "does", "itself", "together", "ships", "of", "and", "or"):
            continue
        assert command is not None, f"{document}: vpnctl {noun}"
        if isinstance(command, click.Group) and verb:
            assert verb in command.list_commands(context), f"{document}: vpnctl {noun} {verb}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_links_to_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / document).parent / target).exists(), target


def test_the_readme_lists_every_exit_code_of_the_program():
    from vpnctl import errors

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = {
        value.code
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.VpnctlError)
    }
    for code in codes | {0, 3, 4, 130}:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE), code


def listed(*options: str) -> list[str]:
    """The files that git keeps of this checkout, as paths from its top."""
    command = ["git", "ls-files", *options]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not found and not options:
        cannot("the list of files", "not a git checkout")
    return found


def test_nothing_that_a_run_of_the_tests_writes_is_kept_by_git():
    assert listed("--cached", "--ignored", "--exclude-standard") == []


def test_no_file_names_a_package_registry_or_this_machine():
    banned = re.compile(r"https?://(pypi|files\.python|deb\.debian|registry\.npm)|--(extra-)?index-url")
    for name in listed():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".lock", ".yaml", ".sh", "") and path.name != "test_docs.py":
            found = banned.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not found or name == "vpnctl/protocols/wireguard/app.py", f"{name}: {found}"
