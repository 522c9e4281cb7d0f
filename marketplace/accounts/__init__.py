"""Accounts and roles: log-in by e-mail, nothing about anybody's wallet."""
