"""The manifests: valid by Kubernetes' own schemas, and consistent with each other, the image and the settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from roomcast.environment import PREFIX
from roomcast.settings import Settings
from tests.deployment import programs
from tests.deployment.containers import ROOT, VERSION
from tests.deployment.tools import tool

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31.0", "1.37.0")
MANIFESTS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
RESOURCES = {name: manifest for name, manifest in MANIFESTS.items() if manifest["kind"] != "Kustomization"}


def validate(path: Path, version: str) -> str:
    return programs.run(tool("kubernetes-validate"), "--strict", "--kubernetes-version", version, path)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_follow_the_schemas_of_kubernetes(version: str, tmp_path: Path) -> None:
    together = tmp_path / "all.yaml"
    together.write_text("---\n".join((FOLDER / name).read_text() for name in RESOURCES))
    assert validate(together, version).count("passed for resource") == len(RESOURCES)


def test_a_wrong_manifest_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((FOLDER / "deployment.yaml").read_text().replace("readinessProbe:", "readynessProbe:"))
    with pytest.raises(RuntimeError, match="readynessProbe"):
        validate(wrong, VERSIONS[-1])


def test_the_kustomization_names_every_file_that_is_applied_together() -> None:
    apart = {"migration-job.yaml", "secret.example.yaml"}
    assert set(MANIFESTS["kustomization.yaml"]["resources"]) == RESOURCES.keys() - apart
    [image] = MANIFESTS["kustomization.yaml"]["images"]
    [server] = pods()["deployment.yaml"]["containers"]
    [migration] = pods()["migration-job.yaml"]["containers"]
    assert (image["name"], image["newTag"]) == (server["image"], VERSION)
    assert migration["image"] == f"{image['newName']}:{VERSION}"


def pods() -> dict[str, Any]:
    return {name: MANIFESTS[name]["spec"]["template"]["spec"] for name in ("deployment.yaml", "migration-job.yaml")}


def test_selectors_find_the_pods() -> None:
    labels = MANIFESTS["deployment.yaml"]["spec"]["template"]["metadata"]["labels"]
    migration = MANIFESTS["migration-job.yaml"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        MANIFESTS["deployment.yaml"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["service.yaml"]["spec"]["selector"],
        MANIFESTS["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= migration.items()  # the migration gets no requests and protects no node
    policy = MANIFESTS["network-policy.yaml"]["spec"]["podSelector"]["matchLabels"].items()
    assert policy <= labels.items()
    assert policy <= migration.items()


def test_every_setting_exists_and_is_reached_by_no_other_name() -> None:
    names = MANIFESTS["settings.yaml"]["data"].keys() | MANIFESTS["secret.example.yaml"]["stringData"].keys()
    assert [name for name in names if name.removeprefix(PREFIX).lower() not in Settings.model_fields] == []
    for name, pod in pods().items():
        # Kubernetes would set ROOMCAST_PORT=tcp://… for the Service of that name.
        assert pod["enableServiceLinks"] is False, name
        [container] = pod["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": "roomcast"}}, {"secretRef": {"name": "roomcast"}}]


def test_pods_hold_the_restricted_standard_and_are_the_user_of_the_image() -> None:
    for pod in pods().values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "deploy" / "Dockerfile").read_text()
        [container] = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/data"}


def test_a_pod_has_time_to_stop() -> None:
    pod = pods()["deployment.yaml"]
    [container] = pod["containers"]
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain = int(MANIFESTS["settings.yaml"]["data"]["ROOMCAST_DRAIN_SECONDS"])
    closing = Settings.model_fields["close_seconds"].default
    assert before + drain + closing + 15 + 10 <= pod["terminationGracePeriodSeconds"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
