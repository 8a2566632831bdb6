"""The web process (extra `web`): webhooks, people's links, figures, health, and the JSON API. It reaches no node."""
