"""Keys as homeservers publish them that `demo` does not show."""

from exporter.demo.homeserver import (
    Homeserver,
    JsonObject,
    encode_base64,
    encode_public_key,
    key_id,
    milliseconds_from_now,
    sign_as,
)

_UNUSED_KEY = encode_base64(bytes(32))
_HOUR, _DAY = 3600, 86400  # seconds


def publish_no_ed25519_key(homeserver: Homeserver) -> JsonObject:
    """The only key is for another algorithm."""
    return _publish(homeserver, {"verify_keys": {"curve25519:1": {"key": _UNUSED_KEY}}})


def publish_short_lived_keys(homeserver: Homeserver) -> JsonObject:
    """They are valid for ten minutes."""
    return _publish(homeserver, {"valid_until_ts": milliseconds_from_now(_HOUR / 6)})


def publish_old_key_of_tomorrow(homeserver: Homeserver) -> JsonObject:
    """A key that is no longer used expires tomorrow."""
    old_key = {"key": _UNUSED_KEY, "expired_ts": milliseconds_from_now(_DAY)}
    return _publish(homeserver, {"old_verify_keys": {"ed25519:old": old_key}})


def publish_padded_keys(homeserver: Homeserver) -> JsonObject:
    """Its base64 is padded, which the specification forbids."""
    padded = {"key": encode_public_key(homeserver.key) + "="}
    return _publish(homeserver, {"verify_keys": {key_id(homeserver.key): padded}})


def _publish(homeserver: Homeserver, changes: JsonObject) -> JsonObject:
    """Sign the usual document after some changes."""
    return sign_as(homeserver, homeserver.unsigned_keys() | changes)
