"""Hands of queues."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.flowcontrol.sharding import deal, flow_hash

HASHES = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(entropy=HASHES, deck=st.integers(1, 512), data=st.data())
def test_a_hand_is_different_cards_of_the_deck(entropy: int, deck: int, data: st.DataObject) -> None:
    hand = data.draw(st.integers(1, min(deck, 8)))
    dealt = deal(entropy, deck=deck, hand=hand)
    assert len(set(dealt)) == len(dealt) == hand
    assert all(0 <= card < deck for card in dealt)


def test_every_hand_is_dealt_as_often_as_any_other() -> None:
    hands = Counter(deal(entropy, deck=5, hand=3) for entropy in range(5 * 4 * 3))
    assert hands == Counter(permutations(range(5), 3))


def test_flows_share_few_queues() -> None:
    mouse = set(deal(flow_hash("schema", "mouse"), deck=128, hand=6))
    hands = [set(deal(flow_hash("schema", f"elephant-{n}"), deck=128, hand=6)) for n in range(2000)]
    assert sum(mouse <= hand for hand in hands) == 0
    assert sum(len(mouse & hand) for hand in hands) / len(hands) < 2 * 6 * 6 / 128


def test_a_flow_is_its_schema_and_its_distinguisher() -> None:
    assert flow_hash("a", "bc") != flow_hash("ab", "c")
    assert flow_hash("a", "b") == flow_hash("a", "b") < 2**64
