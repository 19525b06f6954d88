"""The policy of push subscriptions and retries as tables, without a database."""

import base64
from datetime import timedelta
from hashlib import sha256

import pytest

from roomcast.core.errors import Forbidden, ValidationFailed
from roomcast.notifications import policy


def test_a_server_without_push_refuses_subscriptions() -> None:
    service = object()
    assert policy.check_push_enabled(service) is service
    with pytest.raises(Forbidden, match="does not send push"):
        policy.check_push_enabled(None)


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://push.example/a?b=c", "push.example"),
        ("https://Push.Example:8443/~x", "push.example"),
        ("https://a-1.example", "a-1.example"),
        ("https://a/" + "b" * 1990, "a"),
        (f"https://{'a' * 253}/", "a" * 253),
        ("https://a:65535/", "a"),
    ],
)
def test_the_host_of_an_endpoint(endpoint: str, host: str) -> None:
    assert policy.check_endpoint(endpoint) == host


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example/",
        "https:///path",
        "https://push.example/#part",
        "https://push.example/two words",
        "https://user@push.example/",
        "https://push.example:123456/",
        "https://push.example:/",
        "https://a/" + "b" * 1991,
        f"https://{'a' * 254}/",
        "x https://push.example/",
    ],
)
def test_an_endpoint_that_no_browser_gives_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationFailed, match="https:// URL .* at most 2000 characters") as refused:
        policy.check_endpoint(endpoint)
    assert refused.value.path == ["input", "endpoint"]


@pytest.mark.parametrize("length", [15, 16, 17, 22, 65, 75])
@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_keys_are_decoded_with_any_padding(length: int, padding: str) -> None:
    key = bytes(range(250 - length, 250))
    encoded = policy.base64url_encode(key)
    assert encoded == base64.urlsafe_b64encode(key).decode().rstrip("=")
    if len(encoded + padding) <= 100:
        assert policy.check_key(encoded + padding, length, "auth") == key


@pytest.mark.parametrize(
    ("text", "length"),
    [("", 16), ("AAAA", 2), ("AAAAA", 3), ("AA+A", 3), ("AA/A", 3), ("A A", 2), ("AA===", 1), ("A" * 104, 78)],
)
def test_a_key_of_another_length_or_alphabet_is_refused(text: str, length: int) -> None:
    with pytest.raises(ValidationFailed, match=f"p256dh must be {length} bytes") as refused:
        policy.check_key(text, length, "p256dh")
    assert refused.value.path == ["input", "p256dh"]


def test_a_subscription_is_known_by_its_endpoint() -> None:
    assert policy.subscription_id_of("https://a") == sha256(b"https://a").hexdigest()
    assert len(policy.subscription_id_of("\ud800")) == 64


def test_a_topic_hides_the_room_and_differs_by_subscription() -> None:
    topics = {policy.push_topic(one, room) for one in ("1", "2") for room in ("a", "b")}
    assert len(topics) == 4
    assert {len(topic) for topic in topics} == {32}
    assert policy.push_topic("1", "a") == policy.push_topic("1", "a")


@pytest.mark.parametrize(
    ("attempts", "retry_after", "seconds"),
    [(0, None, 2), (1, None, 4), (3, None, 16), (1, 3, 4), (1, 5, 5), (8, None, 300), (1, 900, 300)],
)
def test_retries_wait_longer_each_time(attempts: int, retry_after: int | None, seconds: int) -> None:
    asked = None if retry_after is None else timedelta(seconds=retry_after)
    assert policy.retry_delay(timedelta(seconds=2), attempts, asked) == timedelta(seconds=seconds)
