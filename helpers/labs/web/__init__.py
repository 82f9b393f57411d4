"""Experiments' code of section 2."""
