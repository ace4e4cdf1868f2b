"""The hot path: limits, decode, accept, group commit, answer."""
