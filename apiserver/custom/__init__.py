"""Custom resources: what a CustomResourceDefinition says, made into rows of the catalogue, readers and strategies."""
