"""Tells systemd that the server has started or stops (`Type=notify`, sd_notify(3))."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send a state, such as `READY=1`, to the socket that systemd names in NOTIFY_SOCKET. Does nothing without one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):  # a name in the abstract namespace of Linux
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1)  # a full queue must not stop the server
        sender.connect(address)
        sender.sendall(state.encode())
