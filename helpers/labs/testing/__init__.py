"""Experiments' code of section 5."""
