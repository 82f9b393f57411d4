"""Experiments' code of section 6."""
