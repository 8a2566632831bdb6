"""The Telegram front: users see their part of the core, admins a weaker one. Needs the extra `vpnctl[bot]`."""
