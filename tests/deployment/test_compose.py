"""The compose files: parsed by the specification, consistent with the settings and secrets, and one of them run."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from roomcast.environment import PREFIX
from roomcast.settings import Settings
from tests.deployment import programs
from tests.deployment.containers import ROOT
from tests.deployment.tools import tool

DEPLOY = ROOT / "deploy"
FILES = [DEPLOY / "compose.yaml", DEPLOY / "compose.sqlite.yaml"]
PARSE = "import sys; from compose_spec import PyCompose; PyCompose.from_yaml(sys.stdin.read())"


def parsing_error(text: str) -> str:
    """What a strict parser of the compose specification says about a file; empty if it is valid."""
    done = subprocess.run([tool("python"), "-c", PARSE], input=text, capture_output=True, text=True, timeout=60)
    return done.stderr.strip().rpartition("\n")[2]


@cache
def merged(file: Path) -> str:
    """A file as compose reads it: variables replaced, YAML's references resolved."""
    variables = {"ROOMCAST_PUBLIC_URL": "https://chat.example.org"}
    return programs.run(tool("podman-compose"), "--file", file, "config", environment=variables)


@pytest.fixture(params=FILES, ids=lambda file: file.name)
def file(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def services(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(merged(file))["services"])


def test_the_files_follow_the_specification(file: Path) -> None:
    text = merged(file)
    assert parsing_error(text) == ""
    assert "extension key" in parsing_error(text.replace("restart:", "restrat:"))


def test_every_setting_in_the_files_exists(file: Path) -> None:
    for name, service in services(file).items():
        for variable in (name for name in service.get("environment", {}) if name.startswith(PREFIX)):
            setting = variable.removeprefix(PREFIX).removesuffix("_FILE").lower()
            assert setting in Settings.model_fields, f"{name}: {variable}"


def test_every_secret_is_declared_and_made(file: Path, tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "make-secrets.sh"
    script.write_text((DEPLOY / "make-secrets.sh").read_text())
    made = [subprocess.run(["sh", str(script)], check=True, capture_output=True, text=True).stdout for _ in range(2)]
    assert made[1] == ""  # a second run keeps what there is
    declared = yaml.safe_load(file.read_text())["secrets"]
    for secret in declared.values():
        assert (script.parent / secret["file"]).read_text()
    for name, service in services(file).items():
        assert set(service.get("secrets", [])) <= declared.keys(), name
        for value in service.get("environment", {}).values():
            if path := re.fullmatch(r"/run/secrets/(\w+)", str(value)):
                assert path[1] in service["secrets"], name


def test_servers_wait_for_the_migration_and_only_the_proxy_is_published() -> None:
    found = services(FILES[0])
    assert found["migrate"]["command"] == ["migrate"]
    assert found["migrate"]["restart"] == "no"
    for name in ("server1", "server2", "server3"):
        assert found[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert found[name]["stop_grace_period"] == "40s"
    assert [name for name, service in found.items() if "ports" in service] == ["nginx"]
    assert found["nginx"]["ports"] == ["127.0.0.1:8080:8080"]


def test_nginx_accepts_its_files_as_compose_mounts_them(tmp_path: Path) -> None:
    for mount in services(FILES[0])["nginx"]["volumes"]:
        source, target, _ = mount.split(":")
        copy = tmp_path / Path(target).relative_to("/etc/nginx")
        copy.parent.mkdir(exist_ok=True)
        copy.write_text((DEPLOY / source).read_text())
    programs.run("nginx", "-e", "stderr", "-t", "-c", tmp_path / "nginx.conf")
    found = services(FILES[0])
    for name in ("servers.conf", "socket-servers.conf"):
        addresses = re.findall(r"^server (\S+):8000 ", (tmp_path / "roomcast" / name).read_text(), re.MULTILINE)
        assert addresses == [found[f"server{n}"]["networks"]["roomcast"]["ipv4_address"] for n in (1, 2, 3)]
    assert (
        found["server1"]["environment"]["ROOMCAST_TRUSTED_PROXIES"]
        == (found["nginx"]["networks"]["roomcast"]["ipv4_address"])
    )
