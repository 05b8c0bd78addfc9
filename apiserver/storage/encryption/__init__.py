"""Encryption at rest: values that a store must not be able to read, by Kubernetes' configuration and formats."""
