"""V2Ray as Debian has it: VMess and VLESS, for servers that take no programs from elsewhere."""
