"""`vpnctl node panel`."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.front import current

COLUMNS = ("inbound", "port", "protocol", "clients", "ours", "served", "why")


def panel(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)],
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Where its panel answers; asked on the server unless told.")
    ] = None,
    username: Annotated[str | None, typer.Option("--username", help="Whom to log in, with --password-stdin.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a token from stdin, in the place of a password.")
    ] = False,
    certificate_fp: Annotated[
        str | None,
        typer.Option("--certificate-fp", metavar="SHA256:…", help="The one certificate that its panel may show."),
    ] = None,
) -> int:
    """Say where a node's 3x-ui panel is and how to get in, and list its inbounds.

    On a server that was added by SSH, the panel is asked there, and a token is made where the panel makes some.
    A new name with an https URL is added as a node of which only the panel is reached.
    """
    from vpnctl.actions.fleet import panels
    from vpnctl.errors import InvalidInput

    front = current()
    if password_stdin and token_stdin:
        raise InvalidInput("give one of --password-stdin and --token-stdin", "a token needs no password")
    if (username is not None) != password_stdin:
        raise InvalidInput("a user name and a password go together", "--username NAME --password-stdin")
    secret = None
    if password_stdin or token_stdin:
        what, option = ("password", "--password-stdin") if password_stdin else ("token", "--token-stdin")
        secret = front.read_secret(what, option)
    row, found = panels.connect(front.app, name, panels.Given(url, username, secret, certificate_fp))
    if not any(each.served for each in found):
        front.say(f"the panel of {row.name} lets us in; next: vpnctl node provision {row.name} --protocol 3x-ui")
    return output.show_list(front, found, COLUMNS)
