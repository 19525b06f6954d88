"""nginx with the configuration of `deploy/`, in front of server processes of a test."""

import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests import servers
from tests.children import Scratch, free_port, hand_over
from tests.deployment import programs

DEPLOY = Path(__file__).parents[2] / "deploy"

NGINX = servers.Kind(
    variable="",
    programs=(("nginx",),),
    wheel=("", ""),
    advice="apt-get install nginx",
    url="http://127.0.0.1:{port}",
    prepare="",
    command="{program} -e stderr -c {scratch}/nginx.conf -g 'pid {scratch}/pid.nginx; daemon off;'",
    hello=b"GET /metrics HTTP/1.0\r\n\r\n",
    reply=b"HTTP/1.1",
)

TEMPORARY = "".join(
    f"{kind}_temp_path {{scratch}}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
"""nginx creates these folders at its start. The usual ones belong to root."""


def start(backends: Sequence[str], *, tls: Path | None = None) -> servers.Server:
    """Start nginx with the shipped configuration. Only addresses and the paths of files are replaced.

    `backends`: the URLs of the servers. `tls`: the folder with the certificate; None for plain HTTP.
    """
    program, port = programs.find("nginx"), free_port()
    with ExitStack() as undo:
        scratch = Scratch()
        undo.callback(scratch.remove)
        write_configuration(scratch.path, backends, port, tls)
        hand_over(scratch.path)
        values = {"program": program, "scratch": scratch.path, "port": port}
        plain_port = port + 1 if tls else port
        launch = servers.Launch(NGINX, servers.fill_in(NGINX.command, values), plain_port, scratch)
        server = servers.Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}", "PATH", launch)
        server.start()
        undo.pop_all()
    return server


def write_configuration(folder: Path, backends: Sequence[str], port: int, tls: Path | None) -> None:
    shutil.copy(DEPLOY / "nginx.conf", folder)
    (folder / "roomcast").mkdir()
    for file in tls.glob("*.pem") if tls else ():
        shutil.copy(file, folder / "roomcast")  # nginx has to be able to read it
    for name in ("servers.conf", "socket-servers.conf"):
        lines = (DEPLOY / "nginx" / name).read_text().splitlines()
        [line] = {re.sub(r"127\.0\.0\.1:\d+", "{}", line) for line in lines if line.startswith("server")}
        own_lines = "\n".join(line.format(urlsplit(backend).netloc) for backend in backends)
        (folder / "roomcast" / name).write_text(own_lines)
    replaced = {
        "listen 8080;": f"listen 127.0.0.1:{port};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 80;": f"listen 127.0.0.1:{port + 1};",  # the port that sends browsers to HTTPS
        "listen [::]:80;\n": "",
        "listen [::]:443 ssl http2;\n": "",
        "/etc/nginx/roomcast": f"{folder}/roomcast",
        "/var/log/nginx/roomcast.log": f"{folder}/access.log",
    }
    text = (DEPLOY / "nginx" / ("listen.conf" if tls else "listen-plain.conf")).read_text()
    for shipped, own in replaced.items():
        text = text.replace(shipped, own)
    (folder / "roomcast" / "listen.conf").write_text(text + TEMPORARY.format(scratch=folder))
