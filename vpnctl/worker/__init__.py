"""The worker settles what came up and sends what waits, whoever wrote; the bot starts one beside itself."""
