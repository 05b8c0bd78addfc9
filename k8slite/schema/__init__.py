"""The table of facts about every kind, and what is compiled from it: validators, OpenAPI documents, merge keys."""
