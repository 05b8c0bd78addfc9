"""StatefulSets: pods with numbers, which keep their names and their storage."""
