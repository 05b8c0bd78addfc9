"""How long kubelets may keep what they read, by the size of the cluster."""
