"""The kubectl-like verbs, a file each."""
