"""NoExecute taints, and the pods that do not put up with them."""
