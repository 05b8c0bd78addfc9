"""Shuffle sharding: each flow is dealt a hand of queues, so that a flooding flow shares few of them with any other.

Source: Kubernetes' apiserver, util/shufflesharding; KEP-1040.
"""

from __future__ import annotations

import hashlib


def flow_hash(schema: str, distinguisher: str) -> int:
    """64 bits that stand for a flow."""
    digest = hashlib.sha256(f"{schema}\0{distinguisher}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def deal(entropy: int, *, deck: int, hand: int) -> tuple[int, ...]:
    """A hand of different cards out of `0 … deck - 1`. Over all `entropy` each hand is as likely as any other.

    The number is read as digits whose bases are the sizes of what is left of the deck. Each digit says which of the
    cards that are left is dealt.
    """
    dealt: list[int] = []
    for position in range(hand):
        entropy, card = divmod(entropy, deck - position)
        for taken in sorted(dealt):
            card += card >= taken
        dealt.append(card)
    return tuple(dealt)
