"""Xray: people's traffic inside TLS. `plugin.PLUGIN` is what the registry knows."""
