"""The watch cache, and the streams that it feeds."""
