"""Code of section 3, databases, that must live in modules."""
