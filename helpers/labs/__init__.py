"""Code of experiments that must live in a module: workers, servers, apps under test."""
