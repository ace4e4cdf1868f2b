"""The protocols that the collector speaks, each a small adapter to the same events."""
