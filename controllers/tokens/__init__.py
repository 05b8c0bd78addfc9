"""Tokens of ServiceAccounts that live in Secrets."""
