"""The `k8slite` command: cluster lifecycle and kubectl-like verbs."""
