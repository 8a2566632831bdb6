"""What it means when a connection over SSH fails, and what to type then."""

from __future__ import annotations

from vpnctl.errors import Distrust, Unreachable, VpnctlError
from vpnctl.remote.shell import CONNECT_SECONDS, FIRST_SECONDS, Login
from vpnctl.rules.grammar import quoted


def again(login: Login) -> str:
    """Return the command that takes another way in."""
    return f"vpnctl node trust {login.node}" if login.known else "give"


def refused(login: Login, error: BaseException | None, seconds: float, what: str, hint: str) -> Unreachable:
    """Return what a failed login means: the server said no, or it said nothing in time."""
    if "timeout" in str(error).lower():  # paramiko has no type for it
        return Unreachable(
            f"{login.node}: the login at {login.host} did not come to an end within {seconds:g} s",
            "a resolver that does not answer makes sshd slow: UseDNS no there"
            + ("" if seconds >= FIRST_SECONDS else ". To wait longer: VPNCTL_LOGIN_SECONDS=60"),
        )
    return Unreachable(f"{login.node}: {what}", hint)


def unreachable(login: Login, error: BaseException, seconds: float = CONNECT_SECONDS) -> VpnctlError:
    """Return what a failed connection means."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        text = f"no answer within {CONNECT_SECONDS:g} s"
    elif isinstance(error.__context__, EOFError) or isinstance(error, EOFError):
        text = "the server closed the connection before it said who it is"
    elif "timeout" in text.lower() or text == "Error reading SSH protocol banner":
        text = f"no SSH server answered within {seconds:g} s"
    return Unreachable(
        f"{login.node}: cannot reach {login.host} port {login.port}: {quoted(text)}",
        f"look at the provider's console: is it running, is its address right, does a firewall drop port {login.port}?",
    )


def changed(login: Login, pinned: str, shown: str) -> Distrust:
    """Return what another host key means; both are fingerprints."""
    return Distrust(
        f"{login.node}: the host key of {login.host} changed: pinned {pinned}, now {shown}",
        f"was the server reinstalled? Compare at your provider, then: vpnctl node trust {login.node} --host-key-fp …",
    )
