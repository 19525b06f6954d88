"""The image: built from the checkout on a base made of Debian packages, run as a user without rights."""

import asyncio
import base64
import json
import re
import shlex
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml

from roomcast.core import migrations
from tests import servers
from tests.api_clients import CREATE_ROOM, LOGIN, PASSWORD, SIGNUP, Json, SocketClient
from tests.children import free_port
from tests.deployment import containers, programs
from tests.deployment.containers import IMAGE, Container, podman, podman_command
from tests.deployment.tools import tool

SECRET = "0123456789abcdef0123456789abcdef"
MakeContainer = Callable[..., Container]


@pytest.fixture(scope="module", autouse=True)
def image() -> str:
    return containers.build()


@pytest.fixture
def container() -> Iterator[MakeContainer]:
    """Makes containers, which are removed after the test with the volumes that their names begin."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        stack.callback(lambda: podman("volume", "prune", "--force"))

        def make(volume: str, *command: str, **settings: object) -> Container:
            made = Container(f"{prefix}-{volume}", *command, **settings)
            stack.callback(made.remove)
            return made

        yield make


def post(url: str, document: str, token: str = "", **variables: object) -> Json:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = {"query": document, "variables": variables}
    answer = httpx.post(f"{url}/graphql", json=body, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def sign_up(url: str) -> str:
    """Sign up the first user. Returns the access token."""
    signed_up = post(url, SIGNUP, input={"username": "ann", "password": PASSWORD})["signup"]
    assert signed_up["user"]["role"] == "ADMIN"
    return str(signed_up["tokens"]["accessToken"])


def test_the_image_says_how_it_is_run() -> None:
    [described] = json.loads(podman("image", "inspect", IMAGE))
    config = described["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"], config["StopSignal"]) == (["roomcast"], ["serve"], "SIGTERM")
    assert (config["Volumes"], config["ExposedPorts"]) == ({"/data": {}}, {"8000/tcp": {}})
    assert config["Labels"]["org.opencontainers.image.version"] == containers.VERSION
    assert config["Labels"]["org.opencontainers.image.title"] == "roomcast"
    assert described["Healthcheck"]["Test"][0] == "CMD"


async def test_a_container_serves_and_its_data_survives_it(container: MakeContainer) -> None:
    first = container("data")
    await asyncio.to_thread(first.start)
    token = await asyncio.to_thread(sign_up, first.url)
    await asyncio.to_thread(post, first.url, CREATE_ROOM, token, input={"name": "The den"})

    [described] = json.loads(await asyncio.to_thread(podman, "image", "inspect", IMAGE))
    await asyncio.to_thread(first.execute, *described["Healthcheck"]["Test"][1:])
    assert (await asyncio.to_thread(first.execute, "id", "-u")).strip() == "10001"
    with pytest.raises(RuntimeError, match="Read-only file system"):
        await asyncio.to_thread(first.execute, "touch", "/opt/roomcast/file")

    async with SocketClient(first.url.replace("http", "ws") + "/graphql") as connection:
        await connection.init()
        code, seconds = await asyncio.to_thread(first.stop)
        assert (code, (await connection.closed())[0]) == (0, 1012)
    assert seconds < 10

    second = container("data")
    await asyncio.to_thread(second.start)
    logged_in = await asyncio.to_thread(post, second.url, LOGIN, input={"usernameOrEmail": "ann", "password": PASSWORD})
    rooms = "{ rooms { nodes { name } } }"
    found = await asyncio.to_thread(post, second.url, rooms, logged_in["login"]["tokens"]["accessToken"])
    assert found["rooms"]["nodes"] == [{"name": "The den"}]


def test_a_second_container_on_the_same_data_is_refused(container: MakeContainer) -> None:
    first, second = container("data"), container("data")
    first.start()
    begin = time.monotonic()
    code, output = second.run()
    assert code == 2
    assert "another server uses this SQLite database" in output
    assert time.monotonic() - begin < containers.START_SECONDS
    assert containers.is_ready(first.url)


def test_containers_serve_a_database_that_a_migration_step_prepared(
    container: MakeContainer, postgres_server: servers.Server
) -> None:
    url = asyncio.run(servers.create_database(postgres_server.url, f"image_{uuid.uuid4().hex}"))
    with servers.redis() as redis:
        settings = {
            "profile": "production",
            "first_user_is_admin": "false",
            "secret_key": SECRET,
            "database_url": url,
            "bus_url": redis.url,
        }
        code, output = container("one", **settings).run()
        assert (code, "run `roomcast migrate`" in output) == (2, True), output
        code, output = container("one", "migrate", **settings).run()
        assert (code, output) == (0, f"The database is at revision {migrations.head()}.\n")
        one, two = container("one", **settings), container("two", **settings)
        one.start()
        two.start()
        signed_up = post(one.url, SIGNUP, input={"username": "ann", "password": PASSWORD})["signup"]
        token = signed_up["tokens"]["accessToken"]
        assert post(two.url, "{ me { user { username } } }", token) == {"me": {"user": {"username": "ann"}}}
        assert [server.stop()[0] for server in (one, two)] == [0, 0]


def write_compose_project(folder: Path, port: int) -> None:
    """The compose file for SQLite with its secrets, on another port. What this machine may not allow is overridden:
    health checks, which need timers of systemd, and more descriptors."""
    shutil.copy(containers.ROOT / "deploy" / "make-secrets.sh", folder)
    programs.run(Path("/bin/sh"), folder / "make-secrets.sh")
    text = (containers.ROOT / "deploy" / "compose.sqlite.yaml").read_text()
    (folder / "compose.yaml").write_text(text.replace("127.0.0.1:8000:8000", f"127.0.0.1:{port}:8000"))
    changes = {"healthcheck": {"disable": True}, "ulimits": containers.LIMITS}
    (folder / "override.yaml").write_text(json.dumps({"services": {"roomcast": changes}}))
    wrapper = folder / "podman"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(podman_command())} "$@"\n')
    wrapper.chmod(0o755)


def test_the_compose_file_for_sqlite_runs(tmp_path: Path) -> None:
    port, project = free_port(), f"test-{uuid.uuid4().hex[:12]}"
    write_compose_project(tmp_path, port)

    def compose(*arguments: str) -> None:
        files = ("--file", tmp_path / "compose.yaml", "--file", tmp_path / "override.yaml")
        options = ("--podman-path", tmp_path / "podman", "--project-name", project, *files)
        variables = {"ROOMCAST_PUBLIC_URL": "https://chat.example.org", "ROOMCAST_IMAGE": IMAGE}
        programs.run(tool("podman-compose"), *options, *arguments, environment=variables)

    compose("up", "--detach", "--no-build")
    try:
        url, name = f"http://127.0.0.1:{port}", f"{project}_roomcast_1"
        containers.until_ready(name, url)
        token = re.search("set-up token ([0-9a-f]+)", containers.logs(name))
        assert token
        ann = {"username": "ann", "password": PASSWORD, "setupToken": token[1]}
        assert post(url, SIGNUP, input=ann)["signup"]["user"]["role"] == "ADMIN"
    finally:
        compose("down", "--volumes")


def manifests_for_podman(settings: Mapping[str, str]) -> tuple[str, str]:
    """The Deployment with its settings, for podman 4.3, and its Secret as podman stores one.

    Probes need timers of systemd, and ports a network apart.
    """
    folder = containers.ROOT / "deploy" / "kubernetes"
    chosen = yaml.safe_load((folder / "settings.yaml").read_text())
    chosen["data"] |= {"ROOMCAST_HOST": "127.0.0.1", "ROOMCAST_DRAIN_SECONDS": "0"}
    deployment = yaml.safe_load((folder / "deployment.yaml").read_text())
    deployment["spec"]["replicas"] = 1
    [server] = deployment["spec"]["template"]["spec"]["containers"]
    server["image"] = IMAGE
    for name in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
        del server[name]
    secret = {name: base64.b64encode(value.encode()).decode() for name, value in settings.items()}
    return yaml.safe_dump_all([chosen, deployment]), json.dumps(secret)


def test_the_pod_of_the_kubernetes_deployment_runs(tmp_path: Path, postgres_server: servers.Server) -> None:
    programs.find("catatonit")
    port = free_port()
    with servers.redis() as redis:
        url = asyncio.run(servers.create_database(postgres_server.url, f"pod_{uuid.uuid4().hex}"))
        manifests, secret = manifests_for_podman(
            {
                "ROOMCAST_PORT": str(port),
                "ROOMCAST_DATABASE_URL": url,
                "ROOMCAST_BUS_URL": redis.url,
                "ROOMCAST_MIGRATE_ON_START": "true",
                "ROOMCAST_SECRET_KEY": SECRET,
                "ROOMCAST_METRICS_TOKEN": SECRET,
            }
        )
        (tmp_path / "pod.yaml").write_text(manifests)
        (tmp_path / "secret").write_text(secret)
        podman("secret", "create", "roomcast", tmp_path / "secret")
        try:
            podman("play", "kube", "--network=host", tmp_path / "pod.yaml")
            containers.until_ready("roomcast-pod-0-server", f"http://127.0.0.1:{port}")
            limit = podman("inspect", "--format={{.HostConfig.Memory}} {{.Config.User}}", "roomcast-pod-0-server")
            assert limit == f"{2 * 1024**3} 10001:10001\n"
        finally:
            podman("play", "kube", "--down", tmp_path / "pod.yaml")
            podman("secret", "rm", "roomcast")
