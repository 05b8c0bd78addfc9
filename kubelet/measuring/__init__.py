"""What a node and its pods use, measured when somebody asks, in the two forms that kubelets answer in."""
