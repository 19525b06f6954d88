"""Push messages against the examples of the standards, endpoint validation, and which addresses are public."""

from datetime import UTC, datetime, timedelta

import pytest

from roomcast.core.errors import ValidationFailed
from roomcast.notifications import encryption
from roomcast.notifications.payloads import MAX_EXCERPT, excerpt
from roomcast.notifications.policy import MAX_RETRY_DELAY, check_endpoint, check_key, retry_delay
from roomcast.notifications.sender import origin, parse_retry_after
from roomcast.notifications.ssrf_guard import is_public
from tests.notifications.browsers import decoded, encoded

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

# RFC 8291, appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
SERVER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
BROWSER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH, SALT = "BTBZMqHH6r4Tts7J_aSIgg", "DGv6ra1nlYgDCS1FRnbzlw"
ENCRYPTED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_encryption_matches_the_example_of_rfc_8291() -> None:
    key = encryption.private_key(decoded(SERVER))
    assert encoded(encryption.encrypt(PLAINTEXT, decoded(BROWSER), decoded(AUTH), key, decoded(SALT))) == ENCRYPTED


def test_a_point_off_the_curve_is_refused() -> None:
    encryption.check_public_point(decoded(BROWSER))
    off_curve = bytearray(decoded(BROWSER))
    off_curve[-1] ^= 1
    with pytest.raises(ValidationFailed):
        encryption.check_public_point(bytes(off_curve))


@pytest.mark.parametrize("text", ["", "short", "=" * 22, "ä" * 22, "A" * 22 + "!", "A" * 23, "A" * 1000, "AAAAA"])
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed):
        check_key(text, 16, "auth")


@pytest.mark.parametrize("text", [AUTH, AUTH + "=="])
def test_a_key_may_be_padded(text: str) -> None:
    assert len(check_key(text, 16, "auth")) == 16


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "push.example.org",
        "http://push.example.org/x",
        "https:///x",
        "https://somebody:secret@push.example.org/x",
        "https://push.example.org/x#y",
        "https://push.example.org\\@10.0.0.1/",
        "https://push.example.org /x",
        "https://push.example.org/\r\nX: y",
        "https://[::1]/x",
        "https://push.example.org/" + "x" * 2_000,
    ],
)
def test_a_malformed_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationFailed):
        check_endpoint(endpoint)


def test_endpoints_of_real_push_services_are_accepted() -> None:
    assert check_endpoint("https://fcm.googleapis.com/fcm/send/cT:APA91b-_") == "fcm.googleapis.com"
    assert check_endpoint("https://Updates.push.services.mozilla.com/wpush/v2/gAAA?x=y") == (
        "updates.push.services.mozilla.com"
    )
    assert origin("https://Push.example.org:443/x") == "https://push.example.org"
    assert origin("https://push.example.org:8443/x") == "https://push.example.org:8443"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 (must be refused)
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


def test_the_retry_delay_follows_retry_after_up_to_a_limit() -> None:
    delay = timedelta(seconds=15)
    assert [retry_delay(delay, attempts, None).seconds for attempts in range(4)] == [15, 30, 60, 120]
    assert retry_delay(delay, 0, parse_retry_after("40", NOON)) == timedelta(seconds=40)
    assert retry_delay(delay, 0, parse_retry_after("Thu, 01 Jan 2026 12:01:00 GMT", NOON)) == timedelta(minutes=1)
    assert retry_delay(delay, 0, parse_retry_after("99999999999", NOON)) == MAX_RETRY_DELAY
    assert parse_retry_after("Wed, 31 Dec 2025 12:01:00 GMT", NOON) == timedelta(0)
    assert retry_delay(delay, 0, parse_retry_after("9" * 5_000, NOON)) == MAX_RETRY_DELAY
    assert parse_retry_after("soon", NOON) is None
    assert parse_retry_after("", NOON) is None


def test_an_excerpt_is_one_short_line_of_plain_text() -> None:
    assert excerpt("# Title\n\nsome *words*,\n`code` and\n- a list") == "Title some words, code and a list"
    assert excerpt("```\nx = 1\n```") == "x = 1"
    assert excerpt("<b>not HTML</b> [a link](https://example.org)") == "<b>not HTML</b> a link"
    assert excerpt("") == ""
    long = excerpt("word " * 1_000)
    assert len(long) <= MAX_EXCERPT
    assert long.endswith("word…")
