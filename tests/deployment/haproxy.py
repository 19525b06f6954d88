"""HAProxy with the configuration of `deploy/`, in front of server processes of a test."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests import servers
from tests.children import Scratch, free_port, hand_over
from tests.deployment import programs
from tests.deployment.nginx import DEPLOY

HAPROXY = servers.Kind(
    variable="",
    programs=(("haproxy",),),
    wheel=("", ""),
    advice="apt-get install haproxy",
    url="https://127.0.0.1:{port}",
    prepare="",
    command="{program} -db -f {scratch}/haproxy.cfg",
    hello=b"GET /metrics HTTP/1.0\r\n\r\n",
    reply=b"HTTP/1.1",
)


def start(backends: Sequence[str], *, tls: Path) -> servers.Server:
    """Start HAProxy with the shipped configuration. Only addresses and the path of the certificate are replaced.

    `backends`: the URLs of the servers. `tls`: the folder with the certificate.
    """
    program, port, plain_port = programs.find("haproxy"), free_port(), free_port()
    with ExitStack() as undo:
        scratch = Scratch()
        undo.callback(scratch.remove)
        certificate = scratch.path / "chat.pem"
        certificate.write_bytes((tls / "chat.pem").read_bytes())
        text = (DEPLOY / "haproxy.cfg").read_text().replace("/etc/haproxy/chat.pem", str(certificate))
        text = text.replace("bind :443 ", f"bind 127.0.0.1:{port} ").replace(
            "bind :80\n", f"bind 127.0.0.1:{plain_port}\n"
        )
        (scratch.path / "haproxy.cfg").write_text(with_backends(text, backends))
        hand_over(scratch.path)
        values = {"program": program, "scratch": scratch.path, "port": port}
        launch = servers.Launch(HAPROXY, servers.fill_in(HAPROXY.command, values), plain_port, scratch)
        server = servers.Server(HAPROXY.url.format(**values), "PATH", launch)
        server.start()
        undo.pop_all()
    return server


def with_backends(text: str, backends: Sequence[str]) -> str:
    """The configuration with as many servers as there are backends."""
    names = dict(zip(("one", "two", "three"), backends, strict=False))

    def line(found: re.Match[str]) -> str:
        name, rest = found[1], found[2]
        return f"    server {name} {urlsplit(names[name]).netloc}{rest}\n" if name in names else ""

    return re.sub(r"    server (\w+) 127\.0\.0\.1:\d+(.*)\n", line, text)
