"""Simulated nodes: one light program plays thousands of them, for scale and for machines without Docker.

Nothing of a real kubelet runs here. What becomes of a pod or a node is decided by a table of stages (`stages`), whose
effects are documents (`pod_status`, `node_objects`): pure functions, all of it. `pods` and `nodes` carry them out.
"""
