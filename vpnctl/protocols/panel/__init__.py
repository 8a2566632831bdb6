"""3x-ui: inbounds of a panel that somebody else keeps. We put people into them and take them out; no more."""
