"""Starts and keeps every part of the embedded platform: see `parts` for what they are, `process` for one of them."""
