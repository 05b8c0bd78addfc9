"""How raw scores of all feasible nodes become 0–100."""

from __future__ import annotations


def normalized(scores: dict[str, int], *, reverse: bool = False) -> dict[str, int]:
    """The highest becomes 100 and the others are in proportion, rounded down; `reverse` turns that over."""
    highest = max(scores.values(), default=0)
    if highest == 0:
        return {name: 100 if reverse else score for name, score in scores.items()}
    scaled = {name: 100 * score // highest for name, score in scores.items()}
    return {name: 100 - score for name, score in scaled.items()} if reverse else scaled
