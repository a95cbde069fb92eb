"""The token bucket."""

from exporter.runtime.rate_limit import RateLimit


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
