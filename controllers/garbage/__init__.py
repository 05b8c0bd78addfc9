"""Garbage: objects whose owners are gone."""
