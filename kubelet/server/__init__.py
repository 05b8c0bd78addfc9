"""The kubelet's own HTTPS server: what the API server asks of it (logs, exec, attach) and what it shows of itself."""
