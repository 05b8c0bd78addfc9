"""One pod of a DaemonSet on each node that it fits."""
