"""The admin JSON API, version 1."""
