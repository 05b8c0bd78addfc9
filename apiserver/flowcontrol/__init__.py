"""API priority and fairness: who is served now, who waits, who is refused, when more is asked for than can be done."""
