"""Requests that the API server passes on: to kubelets for logs, exec and attach, and to pods and services."""
