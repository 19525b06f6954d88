"""The bounded cache: which entries it drops, and how it counts their weight."""

from roomcast.core.bounded_cache import BoundedCache


def test_the_least_recently_used_entry_is_dropped_first() -> None:
    cache = BoundedCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert list(cache.items()) == [("a", 1), ("c", 3)]
    assert cache.get("b") is None


def test_a_lookup_by_in_does_not_count_as_a_use() -> None:
    cache = BoundedCache[str, int](2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert "a" in cache
    cache.put("c", 3)
    assert "a" not in cache


def test_storing_a_key_again_replaces_its_value_and_counts_as_a_use() -> None:
    cache = BoundedCache[str, int](2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        cache.put(key, value)
    assert list(cache.items()) == [("a", 3), ("c", 4)]


def test_the_total_weight_stays_within_its_limit() -> None:
    cache = BoundedCache[str, str](100, max_weight=10, weigh=lambda key, value: len(value))
    for key in "abcd":
        cache.put(key, "1234")
    assert [key for key, _ in cache.items()] == ["c", "d"]
    assert cache.weight == 8
    cache.put("c", "1")
    cache.discard("d")
    cache.discard("unknown")
    assert (cache.weight, len(cache)) == (1, 1)


def test_an_entry_that_is_too_heavy_is_not_kept() -> None:
    cache = BoundedCache[str, str](100, max_weight=10, weigh=lambda key, value: len(value))
    cache.put("a", "1" * 11)
    assert (cache.weight, len(cache)) == (0, 0)
