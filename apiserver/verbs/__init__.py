"""What a request does: a file per verb or family of verbs, each over the one registry."""
