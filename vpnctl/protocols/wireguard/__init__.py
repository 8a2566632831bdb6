"""WireGuard: keys, files on both sides, what a node shows of it, the handshake, and its part of the node script."""
