"""`k8slite check`: the controls of the CIS Kubernetes Benchmark, looked at in a cluster's files and configuration."""
