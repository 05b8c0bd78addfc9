"""Bytes from and to clients: sockets, TLS, requests as they are parsed, answers as they are sent."""
