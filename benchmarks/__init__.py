"""Measured ratios, never bare times."""
