"""Checks, hints and explanations of section 5."""
