"""metrics.k8s.io: what nodes and pods use now, worked out by each server from what kubelets count, when asked."""
