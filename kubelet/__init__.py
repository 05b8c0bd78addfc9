"""The kubelet: runs the pods of one node and reports what became of them."""
