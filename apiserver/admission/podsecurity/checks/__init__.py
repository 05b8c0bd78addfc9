"""The controls of the Pod Security Standards: a file per control, or per group that looks at one thing."""
