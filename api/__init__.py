"""HTTP: the collector (hot path) and the management routes."""
