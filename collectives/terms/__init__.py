"""Signed documents of the collective domain: terms, permits, notices, announcements, tasks. Sans-IO."""
