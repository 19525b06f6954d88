"""Checks of single values of settings. Each returns the value, or raises ValueError with a sentence."""

import re
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit


def check_host(host: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z:._-]+", host):
        raise ValueError("it has to be one address or host name to listen on, for example 127.0.0.1 or 0.0.0.0")
    return host


def split_list(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
            raise ValueError(f"{origin!r} is not a web origin; an example of one is https://chat.example.org")
    return origins


def check_header_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_-]+\*?", name):
            raise ValueError(f"{name!r} is not the name of a header; examples are X-Tenant and X-Acme-*")
    return names


def check_web_address(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("the URL has to be a web address, for example https://chat.example.org")
    return url.rstrip("/")


def check_subject(subject: str | None) -> str | None:
    if subject is not None and not re.fullmatch(r"mailto:[^@\s]+@[^@\s]+|https://\S+", subject):
        raise ValueError(
            "it has to be a contact address, for example mailto:admin@example.org or https://chat.example.org"
        )
    return subject


def check_host_names(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", host):
            raise ValueError(f"{host!r} is not a host name or address; an example of one is push.example.org")
    return tuple(host.lower() for host in hosts)


def check_bucket(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    named = parts.hostname and parts.username and parts.password and parts.path.strip("/")
    if parts.scheme not in ("s3", "s3+http") or not named:
        raise ValueError("the URL has to look like s3://KEY:SECRET@host/bucket?region=eu-central-1")
    _ = parts.port  # raises ValueError with a message for an invalid port
    return url


def check_proxies(proxies: tuple[str, ...]) -> tuple[str, ...]:
    for proxy in proxies:
        try:
            _ = proxy == "*" or ip_network(proxy)
        except ValueError:
            raise ValueError(f"{proxy!r} is not an IP address, a network such as 10.0.0.0/8, or *") from None
    return proxies
