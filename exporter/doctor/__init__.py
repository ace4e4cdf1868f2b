"""What is wrong with a stack or a bucket, step by step, and what to do about it."""
