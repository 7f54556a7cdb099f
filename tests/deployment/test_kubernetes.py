"""The Kubernetes manifests: rendered by kustomize, validated by Kubernetes' schemas, compared with the programs.

The schemas of Kubernetes come from the package `kubernetes-validate`, that of KEDA's ScaledObject from
`cloudcoil-models-keda`. No cluster is needed.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from prometheus_client import CollectorRegistry

from tests.deployment.command_lines import parse_command_line
from triptych.producers.feeds.feeds_file import read_feeds
from triptych.schemas.names import consumer_group
from triptych.service.health import Health
from triptych.service.status import StatusServer
from triptych.settings.loading import load
from triptych.settings.tree import Settings

REPOSITORY: Final = Path(__file__).parents[2]
MANIFESTS: Final = REPOSITORY / "deploy" / "kubernetes"
OVERLAYS: Final = ("cpu", "gpu")
VERSIONS: Final = ("1.31", "1.37")
"""The oldest and the newest version of Kubernetes that the manifests are checked with."""
DOCKERFILE: Final = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
Manifest = dict[str, Any]


def _kustomize() -> list[str]:
    """Return the command that renders. Skip without one, also in CI: Debian has neither kustomize nor a new kubectl."""
    if path := shutil.which("kustomize"):
        return [path, "build"]
    if path := shutil.which("kubectl"):
        return [path, "kustomize"]
    pytest.skip("neither kustomize nor kubectl was found")


@cache
def _rendered(overlay: str, manifests: Path = MANIFESTS) -> str:
    done = subprocess.run(
        [*_kustomize(), manifests / "overlays" / overlay], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(overlay: str) -> list[Manifest]:
    """Return the objects of an overlay."""
    return list(yaml.safe_load_all(_rendered(overlay)))


def of_kind(overlay: str, kind: str) -> list[Manifest]:
    """Return the objects of one kind."""
    return [each for each in objects(overlay) if each["kind"] == kind]


def validate(manifest: Manifest, version: str) -> None:
    """Validate an object, strictly: a field that its schema does not name is an error.

    Raises:
        Exception: it does not follow its schema.
    """
    if manifest["apiVersion"] == "keda.sh/v1alpha1":
        ScaledObject.model_validate(manifest, extra="forbid")
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def _objects_with_field(value: Any) -> list[Any]:  # noqa: ANN401 - any part of a manifest
    """Return all parts of a manifest that have named fields, without maps whose keys are free."""
    if isinstance(value, list):
        return [part for each in value for part in _objects_with_field(each)]
    if not isinstance(value, dict):
        return []
    free = {"labels", "matchLabels", "data", "limits", "requests", "selector", "nodeSelector"}
    free |= {"metadata"} if "triggers" in value or "type" in value else set()
    return [value, *(part for name, each in value.items() if name not in free for part in _objects_with_field(each))]


def workloads() -> list[tuple[str, Manifest]]:
    """Return the workloads of all overlays, with the name of their overlay."""
    return [(overlay, each) for overlay in OVERLAYS for each in objects(overlay) if "template" in each.get("spec", {})]


def container_of(workload: Manifest) -> Manifest:
    """Return the only container."""
    [container] = workload["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def environ_of(overlay: str, container: Manifest) -> dict[str, str]:
    """Return the variables of a container, those of the config map included."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(overlay, "ConfigMap")}
    environ = {}
    for source in container["envFrom"]:
        environ |= maps[source["configMapRef"]["name"]]
    return environ | {each["name"]: each.get("value", "a-secret") for each in container.get("env", ())}


def settings_of(overlay: str, container: Manifest) -> Settings:
    """Return the settings that a container has. The loader rejects unknown variables."""
    return load(environ=environ_of(overlay, container))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_follows_its_schema(overlay: str, version: str) -> None:
    """Unknown fields are errors as well."""
    kinds = set()
    for manifest in objects(overlay):
        validate(manifest, version)
        kinds.add(manifest["kind"])

    assert {"StatefulSet", "Deployment", "Job", "PodDisruptionBudget", "ScaledObject", "Service"} <= kinds


def test_a_wrong_field_anywhere_is_rejected() -> None:
    """In each part of each object in turn, so that no part is left out by the validation."""
    tried = 0
    for manifest in objects("gpu"):
        for number in range(len(_objects_with_field(manifest))):
            changed = deepcopy(manifest)
            _objects_with_field(changed)[number]["replicass"] = 3
            with pytest.raises(Exception, match=r"replicass|Extra inputs|Additional properties"):
                validate(changed, VERSIONS[-1])
            tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("StatefulSet", ("spec", "replicas"), "two"),
        ("StatefulSet", ("spec", "podManagementPolicy"), 3),
        ("PodDisruptionBudget", ("spec", "selector"), "app"),
        ("Job", ("spec", "backoffLimit"), "many"),
        ("ScaledObject", ("spec", "maxReplicaCount"), "many"),
    ],
)
def test_a_wrong_value_is_rejected(kind: str, path: tuple[str, ...], value: object) -> None:
    """The types of values are checked, not only the names of fields."""
    manifest = deepcopy(of_kind("cpu", kind)[0])
    part = manifest
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value

    with pytest.raises(Exception, match=r"not of type|valid"):
        validate(manifest, VERSIONS[-1])


def test_every_file_is_part_of_an_overlay() -> None:
    """A file that no kustomization names would never be checked."""
    named = {
        (path.parent / entry).resolve()
        for path in MANIFESTS.rglob("kustomization.yaml")
        for entry in _entries(yaml.safe_load(path.read_text(encoding="utf-8")))
    }
    files = {path for path in MANIFESTS.rglob("*") if path.is_file() and path.name != "kustomization.yaml"}

    assert {path.relative_to(MANIFESTS).as_posix() for path in files - named} == set()


def _entries(kustomization: Manifest) -> list[str]:
    secrets = [file for each in kustomization.get("secretGenerator", ()) for file in each["files"]]
    patches = [each["path"] for each in kustomization.get("patches", ()) if "path" in each]
    return [*kustomization.get("resources", ()), *patches, *secrets]


def test_every_command_line_is_one_that_the_program_knows() -> None:
    """The real command line parses the flags."""
    for _, workload in workloads():
        parse_command_line(container_of(workload)["args"])


def test_every_variable_is_a_setting() -> None:
    """And the overlay's address of the brokers reaches all programs."""
    for overlay, workload in workloads():
        settings = settings_of(overlay, container_of(workload))

        assert settings.kafka.bootstrap_servers == "kafka:9092"


def test_ports_and_probes_are_those_of_the_status_server() -> None:
    """Each program serves its endpoints on the port of its own section, on all addresses of the pod."""
    sections = {"worker": "http", "producer": "produce_http", "describe": "describe_http"}
    seen, served = set(), set()
    for overlay, workload in workloads():
        container = container_of(workload)
        if container["name"] not in sections:
            continue
        http = getattr(settings_of(overlay, container), sections[container["name"]])
        assert container["ports"] == [{"name": "http", "containerPort": http.port}]
        assert http.host == "0.0.0.0"  # noqa: S104 - in its pod
        probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
        assert {probe["port"] for probe in probes.values()} == {"http"}
        served |= {probe["path"] for probe in probes.values()}
        assert probes["livenessProbe"]["path"] == "/healthz"
        assert probes["readinessProbe"]["path"] == "/readyz"
        seen.add(container["name"])
    assert seen == set(sections)
    with StatusServer("127.0.0.1", 0, CollectorRegistry(), Health("worker", starting={"model": "not warm"})) as server:
        assert {path: _status(f"{server.url}{path}") for path in served} == {"/healthz": 200, "/readyz": 503}


def _status(url: str) -> int:
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_workers_are_static_members_that_keep_their_names() -> None:
    """And have the time to stop cleanly."""
    for overlay in OVERLAYS:
        [worker] = of_kind(overlay, "StatefulSet")
        container, pod = container_of(worker), worker["spec"]["template"]["spec"]
        settings = settings_of(overlay, container)

        assert environ_of(overlay, container)["TRIPTYCH_KAFKA_GROUP_INSTANCE_ID"] == "@hostname"
        assert pod["terminationGracePeriodSeconds"] * 1_000 > settings.worker.shutdown_limit_ms
    assert settings.model.device == "cuda"


def test_the_autoscaler_scales_the_workers_by_the_lag_of_their_group() -> None:
    """As many as there are partitions at most, and the number of workers is its alone."""
    for overlay in OVERLAYS:
        [worker], [scaled] = of_kind(overlay, "StatefulSet"), of_kind(overlay, "ScaledObject")
        [trigger], [job] = scaled["spec"]["triggers"], of_kind(overlay, "Job")
        settings = settings_of(overlay, container_of(worker))
        args = container_of(job)["args"]

        assert scaled["spec"]["scaleTargetRef"] == {"kind": worker["kind"], "name": worker["metadata"]["name"]}
        assert "replicas" not in worker["spec"]
        assert trigger["metadata"]["consumerGroup"] == consumer_group(settings.pipeline)
        assert trigger["metadata"]["bootstrapServers"] == settings.kafka.bootstrap_servers
        assert scaled["spec"]["maxReplicaCount"] == int(args[args.index("--partitions") + 1])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_autoscaler_follows_an_overlay_with_another_pipeline(overlay: str, tmp_path: Path) -> None:
    """Its workers, its topics and the group whose lag counts are those of the same pipeline."""
    copied = tmp_path / "kubernetes"
    shutil.copytree(MANIFESTS, copied)
    kustomization = copied / "overlays" / overlay / "kustomization.yaml"
    changed = yaml.safe_load(kustomization.read_text(encoding="utf-8"))
    changed["configMapGenerator"][0]["literals"].append("TRIPTYCH_PIPELINE=harbour")
    kustomization.write_text(yaml.safe_dump(changed), encoding="utf-8")

    rendered = list(yaml.safe_load_all(_rendered(overlay, copied)))

    [scaled] = [each for each in rendered if each["kind"] == "ScaledObject"]
    [trigger] = scaled["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == consumer_group("harbour")
    [settings] = [each for each in rendered if each["kind"] == "ConfigMap"]
    assert settings["data"]["TRIPTYCH_PIPELINE"] == "harbour"


def test_selectors_choose_the_pods_that_they_are_for() -> None:
    """A label that is mistyped would leave a service or a budget without pods."""
    for overlay, workload in workloads():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        if workload["kind"] != "Job":
            assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
        if workload["kind"] == "StatefulSet":
            [budget], [service] = of_kind(overlay, "PodDisruptionBudget"), of_kind(overlay, "Service")
            assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
            assert service["spec"]["selector"].items() <= labels.items()
            assert service["metadata"]["name"] == workload["spec"]["serviceName"]


def test_no_pod_has_more_rights_than_it_needs() -> None:
    """As in the Compose file: another user than root, a read-only file system, no capabilities."""
    for overlay, workload in workloads():
        pod, container = workload["spec"]["template"]["spec"], container_of(workload)

        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": int(re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[0]),
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["name"] for mount in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
        assert overlay in OVERLAYS


def test_every_image_is_a_target_of_the_dockerfile() -> None:
    """Of the version of the project."""
    version = re.findall(r'image\.version="([^"]+)"', DOCKERFILE)[0]
    for _, workload in workloads():
        name, _, tag = container_of(workload)["image"].partition(":")

        assert f" AS {name.removeprefix('triptych-')}\n" in DOCKERFILE
        assert tag == version


def test_paths_are_those_of_the_image_and_the_feeds_can_be_read(tmp_path: Path) -> None:
    """The cache is where the image looks for weights, and the secret is the file that the producer is given."""
    for overlay, workload in workloads():
        container = container_of(workload)
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        if "cache" in mounts:
            assert f"TRIPTYCH_CACHE={mounts['cache']}:" in DOCKERFILE
        if "feeds" in mounts:
            path = Path(container["args"][container["args"].index("--feeds") + 1])
            [secret] = of_kind(overlay, "Secret")
            (tmp_path / path.name).write_bytes(base64.b64decode(secret["data"][path.name]))
            assert path.parent.as_posix() == mounts["feeds"]
            assert list(read_feeds(tmp_path / path.name)) == ["entrance"]


def test_the_memory_of_a_worker_holds_the_measured_bounds() -> None:
    """docs/bounds.md: the warm worker, and one and a half times the limit of its partitions."""
    bounds = (REPOSITORY / "docs" / "bounds.md").read_text(encoding="utf-8")
    warm_mb = float(re.findall(r"warm worker \| ([\d,.]+) MB", bounds)[-1].replace(",", ""))
    for overlay in OVERLAYS:
        [worker] = of_kind(overlay, "StatefulSet")
        container = container_of(worker)
        partition_bytes = settings_of(overlay, container).align.partition_max_bytes
        limit_bytes = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) << 30

        assert limit_bytes > warm_mb * 1e6 + 1.5 * 3 * partition_bytes
