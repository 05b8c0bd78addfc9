"""The cache of answers stays within its budget, whatever is asked."""

from __future__ import annotations

from k8slite.proxy.dns.cache import Cache


def test_many_small_answers_and_large_ones_stay_within_the_budget():
    cache: Cache[bytes] = Cache(budget=100_000)
    for number in range(10_000):
        cache.put(b"%d" % number, b"", size=0)
        assert len(cache) <= 400
    for number in range(50):
        cache.put(b"%d" % number, b"x", size=30_000)
        assert len(cache) <= 3 or number < 3
    assert cache.get(b"49") == b"x"


def test_what_is_larger_than_the_budget_displaces_nothing():
    cache: Cache[bytes] = Cache(budget=1000)
    cache.put(b"small", b"s", size=10)
    cache.put(b"large", b"l", size=5000)
    assert (cache.get(b"small"), cache.get(b"large")) == (b"s", None)


def test_an_answer_that_is_renewed_counts_once():
    cache: Cache[bytes] = Cache(budget=1000)
    cache.put(b"other", b"o", size=10)
    for _ in range(100):
        cache.put(b"same", b"s", size=100)
    assert cache.get(b"other") == b"o"
