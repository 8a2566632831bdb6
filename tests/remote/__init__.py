"""The node script, and what a node may say."""
