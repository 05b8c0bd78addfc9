"""How fast pods are bound: the cases of upstream's scheduler_perf, through the API server or as decisions alone."""
