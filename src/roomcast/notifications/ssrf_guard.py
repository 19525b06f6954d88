"""Which machines this server may be sent to by a stranger's word: those of the public internet alone.

Looked at when an endpoint is registered and again whenever it is connected to, and the connection goes to the very
address that was looked at: a name that changes its mind in between leads nowhere.
"""

import asyncio
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

RESOLVE_SECONDS = 5.0

GLOBAL, TUNNELS = IPv6Network("2000::/3"), (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
"""All that is handed out of IPv6, and what in it is an IPv4 address in disguise."""


LOOKUPS = 4
"""Names that are looked up at once. A name can be made to take long; nothing else waits in these threads."""


class UnresolvableHost(OSError):
    """Nobody knows this name now."""


class NotPublicAddress(Exception):
    """What has this name is not on the public internet."""


class AddressGuard:
    """`trusted`: hosts that may be anywhere, because the operator says so."""

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self._trusted = trusted
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="names")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int) -> list[str]:
        """Where the host may be reached. Raises NotPublic, Unknown."""
        found = await self._found(host, port)
        allowed = found if host.lower() in self._trusted else [each for each in found if is_public(each)]
        if not allowed:
            raise NotPublicAddress(host)
        return allowed

    async def _found(self, host: str, port: int) -> list[str]:
        look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        except (OSError, UnicodeError, OverflowError):
            raise UnresolvableHost(host) from None
        return list(dict.fromkeys(str(place[0]) for *_, place in found))


def is_public(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    return address in GLOBAL and address.is_global and not any(address in tunnel for tunnel in TUNNELS)
