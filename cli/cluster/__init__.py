"""The life of a cluster on this machine: up, down, status, logs, and the supervisor that keeps its programs running."""
