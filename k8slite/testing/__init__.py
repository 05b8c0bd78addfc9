"""What tests of k8slite, and of programs that use it, share: servers, builders, simulated parts."""
