"""AmneziaWG: WireGuard in a disguise. Keys, files and sessions are WireGuard's; what packets look like is not."""
