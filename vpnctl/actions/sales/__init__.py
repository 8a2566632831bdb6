"""Access by time: plans, subscriptions, trials."""
