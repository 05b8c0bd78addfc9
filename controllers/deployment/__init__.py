"""Deployments: pods rolled from one template to the next."""
