"""The audit log: who asked for what, when, and what came of it. The policy says what is recorded, and how much."""
