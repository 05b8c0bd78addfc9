"""Approves kubelets' own certificate requests, signs for Kubernetes' own signers, removes what nobody needs."""
