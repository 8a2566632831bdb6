"""vpnctl: run a VPN service from one command line."""

__version__ = "0.1.0"
