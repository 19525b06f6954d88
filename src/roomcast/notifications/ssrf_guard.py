"""SSRF guard: push endpoints come from users, so the server connects only to addresses on the public internet.

An endpoint is checked when it is registered and at each connection. The connection goes to the very address that was
checked, so a name whose DNS answer changes in between (DNS rebinding) gains nothing.
"""

import asyncio
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

RESOLVE_SECONDS = 5.0

GLOBAL_UNICAST, TUNNELS = IPv6Network("2000::/3"), (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
"""The allocated part of IPv6, and in it the ranges that embed IPv4 addresses (Teredo, 6to4)."""


LOOKUP_THREADS = 4
"""Concurrent DNS lookups. A lookup can be made slow by its owner, so these threads do nothing else."""


class UnresolvableHost(OSError):
    """The name cannot be resolved now."""


class NotPublicAddress(Exception):
    """The name resolves to no public address."""


class AddressGuard:
    """`trusted`: hosts that the operator allows at any address."""

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self._trusted = trusted
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="names")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of the host that may be connected to. Raises NotPublicAddress, UnresolvableHost."""
        lookup = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                entries = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        except (OSError, UnicodeError, OverflowError):
            raise UnresolvableHost(host) from None
        found = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in entries))
        allowed = found if host.lower() in self._trusted else [each for each in found if is_public(each)]
        if not allowed:
            raise NotPublicAddress(host)
        return allowed


def is_public(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    return address in GLOBAL_UNICAST and address.is_global and not any(address in tunnel for tunnel in TUNNELS)
