"""Exercises of section 3, databases."""
