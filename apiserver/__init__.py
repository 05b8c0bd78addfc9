"""The API server: the only program that touches the store; everything else speaks to it over HTTPS."""
