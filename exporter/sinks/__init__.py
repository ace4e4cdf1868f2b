"""Buckets to deliver to: one protocol, a directory and S3 behind it."""
