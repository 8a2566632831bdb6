"""Read-only views as frozen rows. Tables, `--json` and the bot print the same rows; statuses are the observed ones."""
