"""One small file per command, which parses, calls one function, prints."""
