"""The service itself: its state, its checks, its inventory."""
