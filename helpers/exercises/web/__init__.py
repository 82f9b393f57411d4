"""Exercises of section 2, the web."""
