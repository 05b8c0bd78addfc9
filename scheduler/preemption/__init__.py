"""Preemption: making room for a pod by removing pods of lower priority from one node.

    roster    the pods of each node, the most important first, as columns
    budgets   which of them are protected by disruption budgets
    sparing   whom each node would lose if amounts alone decided: all nodes at once
    dry_run   whom one node would lose, asked of every filter
    choice    the node that loses least
    eviction  carrying it out

Source: Kubernetes documentation, "Pod Priority and Preemption"; kube-scheduler for the order of everything.
"""
