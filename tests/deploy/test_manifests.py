"""What lies in deploy/kubernetes and deploy/systemd, without a cluster: schemas, and names that fit together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from pullet_console.cli import main

FOLDER = Path(__file__).parents[2] / "deploy"
OBJECTS: dict[str, dict[str, Any]] = {
    f"{one['kind']}/{one['metadata']['name']}": one
    for file in sorted((FOLDER / "kubernetes").glob("*.yaml"))
    for one in yaml.safe_load_all(file.read_text())
}
FOREIGN = ("ray.io/", "keda.sh/")
"""Kinds of others. The schema of a RayCluster is in its own project, and in no package."""
UNITS = sorted((FOLDER / "systemd").glob("*.service"))


def pods() -> dict[str, dict[str, Any]]:
    """The pod of each object that has one."""
    found = {}
    for name, one in OBJECTS.items():
        spec = one["spec"].get("headGroupSpec", one["spec"])
        if "template" in spec:
            found[name] = spec["template"]
    return found


@pytest.mark.parametrize("name", [name for name, one in OBJECTS.items() if not one["apiVersion"].startswith(FOREIGN)])
def test_kubernetes_knows_each_field(name: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], "1.31", strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, one in OBJECTS.items() if one["apiVersion"].startswith("keda.sh/")])
def test_keda_knows_each_field(name: str) -> None:
    from cloudcoil.models.keda import v1alpha1  # takes seconds: the schemas of all its kinds

    given = OBJECTS[name]
    read = getattr(v1alpha1, given["kind"]).model_validate(given)
    assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == given, (
        "it leaves out what it does not know"
    )


def test_the_pod_of_the_ray_cluster_is_one_too() -> None:
    template = pods()["RayCluster/pullet"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "head"}, "spec": template["spec"]}
    kubernetes_validate.validate(pod, "1.31", strict=True)


@pytest.mark.parametrize("name", pods())
def test_each_pod_is_bounded_and_without_privileges(name: str) -> None:
    spec = pods()[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", [name for name, pod in pods().items() if "PULLET_REDIS" in str(pod)])
def test_whoever_uses_the_server_is_let_in_and_has_a_password(name: str) -> None:
    pod = pods()[name]
    (allowed,) = OBJECTS["NetworkPolicy/pullet-redis"]["spec"]["ingress"][0]["from"]
    assert allowed["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == mounts
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["PULLET_REDIS_PASSWORD_FILE"] == f"/run/pullet/{environment['PULLET_REDIS_USER']}"
    assert environment["PULLET_REDIS"] == "redis://pullet-redis:6379/0"


def test_keda_scales_what_is_there_by_a_number_that_is_there() -> None:
    scaled = OBJECTS["ScaledObject/pullet-nodes"]["spec"]
    assert f"Deployment/{scaled['scaleTargetRef']['name']}" in OBJECTS
    (trigger,) = scaled["triggers"]
    host = trigger["metadata"]["url"].split("/")[2].partition(":")[0]
    assert f"Service/{host.partition('.')[0]}" in OBJECTS
    assert host in pods()["Deployment/pullet-ui"]["spec"]["containers"][0]["args"], "or it answers: unknown Host"
    assert f"TriggerAuthentication/{trigger['authenticationRef']['name']}" in OBJECTS
    assert "--queue digits" in str(pods()["Deployment/pullet-pool"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_each_unit(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    program = Path(sys.executable).with_name("pullet")
    here.write_text(unit.read_text().replace("/opt/pullet/bin/pullet", str(program)).replace("User=pullet\n", ""))
    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert done.returncode == 0, done.stderr
    assert not said


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_each_unit_calls_a_verb_with_options_that_it_has(unit: Path) -> None:
    (start,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    verb, *words = start.split()[1:]
    command = main.commands.get(verb) or main.get_command(None, verb)  # type: ignore[attr-defined,arg-type]
    options = {name for one in command.params for name in one.opts}
    assert {word for word in words if word.startswith("--")} <= options
