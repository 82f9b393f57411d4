"""One small file a server."""
