"""The token bucket, alone and for each of many keys."""

from functools import partial

from exporter.runtime.rate_limit import RateLimit, RateLimits


def test_the_bucket_fills_up_to_the_burst() -> None:
    """Without a token, the result is the time until there is one, in seconds."""
    now = [0.0]
    limit = RateLimit(per_minute=6, burst=2, clock=lambda: now[0])
    assert [limit.take() for _ in range(3)] == [0, 0, 10]
    now[0] = 5
    assert limit.take() == 5
    now[0] = 10_000
    assert [limit.take() for _ in range(3)] == [0, 0, 10]


def test_repr_shows_the_rate_and_the_remaining_tokens() -> None:
    """The tokens are those after the latest request."""
    limit = RateLimit(per_minute=6, burst=2, clock=lambda: 0.0)
    limit.take()
    assert repr(limit) == "<RateLimit 6 per minute: 1 of 2 left>"


def test_each_key_has_a_bucket_and_all_share_one() -> None:
    """A key that is refused takes nothing from the others."""
    now = [0.0]
    limit = partial(RateLimit, clock=lambda: now[0])
    limits = RateLimits(partial(limit, per_minute=60, burst=1), limit(per_minute=6, burst=2))
    assert [limits.take("a"), limits.take("a"), limits.take("b"), limits.take("c")] == [0, 1, 0, 10]
    now[0] = 10
    assert limits.take("c") == 0
    assert repr(limits) == "<RateLimits of 3 keys, of all <RateLimit 6 per minute: 0 of 2 left>>"


def test_the_buckets_that_are_remembered_are_limited() -> None:
    """Whoever uses very many keys is stopped by the bucket that they share."""
    limits = RateLimits(partial(RateLimit, 1, 1), RateLimit(1e9, 10**9))
    for key in range(20_000):
        assert limits.take(key) == 0
    assert "of 10000 keys" in repr(limits)
