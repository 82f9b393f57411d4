"""Workers and servers of section 1."""
