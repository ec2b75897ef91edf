"""The files of recipes/deploy hold together, and are as closed as docs/deploy.md says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sovereign import recipes
from sovereign.config import load_config
from sovereign.serve.engines import Command, environment

DEPLOY = recipes.root() / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OBJECTS: list[dict[str, Any]] = [
    found
    for name in yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    for found in yaml.safe_load_all((KUBERNETES / name).read_text())
]
PODS = {
    o["metadata"]["name"]: o["spec"]["template"]
    for o in OBJECTS
    if o["kind"] in ("Deployment", "StatefulSet")
}
POLICIES = {o["metadata"]["name"]: o["spec"] for o in OBJECTS if o["kind"] == "NetworkPolicy"}
QUIET = {
    name: value
    for name, value in environment(Command(()), {}).items()
    if name.startswith(("VLLM_", "DO_NOT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"))
}


# ---- systemd ------------------------------------------------------------------------------------


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit whose program is one that is there: systemd looks for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", request.param.read_text(), flags=re.M)
    copy = tmp_path / request.param.name
    copy.write_text(text)
    return copy


def _analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip()
    return done.stdout


def test_systemd_accepts_every_line_of_a_unit(unit: Path) -> None:
    """An unknown key would be ignored at the start, and with it what it should have closed."""
    _analyze("verify", str(unit))


def test_a_unit_is_closed_by_systemds_own_measure(unit: Path) -> None:
    """0 is a sealed box, 10 an ordinary service."""
    found = re.search(
        r"exposure level for \S+: ([\d.]+)", _analyze("security", "--offline=true", str(unit))
    )
    assert found
    assert float(found[1]) <= 2.5


def test_vllm_as_a_service_reaches_this_machine_only_and_is_told_to_be_silent() -> None:
    """By the kernel, whatever the program would like; and by its own switches as well."""
    text = (DEPLOY / "systemd" / "sovereign-vllm.service").read_text()
    assert "\nIPAddressDeny=any\nIPAddressAllow=localhost\n" in text
    assert "--host 127.0.0.1" in text
    told = set(" ".join(re.findall(r"^Environment=(.*)$", text, re.M)).split())
    assert told >= {f"{name}={value}" for name, value in QUIET.items()}


# ---- the image ----------------------------------------------------------------------------------


def test_the_image_takes_packages_by_hash_and_is_not_root() -> None:
    """And copies only what the checkout has."""
    text = (DEPLOY / "container" / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert "--require-hashes -r requirements/gateway.txt" in text
    assert [x for x in lines if x.startswith("USER")] == ["USER 10001:10001"]
    assert lines.index("USER 10001:10001") > max(i for i, x in enumerate(lines) if "RUN" in x)
    assert ":latest" not in text
    root = recipes.root().parent
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((root / name).exists() for name in line.split()[1:-1]), line


# ---- Kubernetes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PODS)
def test_every_container_is_locked_and_bounded(name: str) -> None:
    """What the `restricted` Pod Security Standard asks for, which the namespace enforces, and a
    root file system that cannot be written besides."""
    pod = PODS[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert re.fullmatch(r"registry\.internal/[\w-]+:\d+\.\d+\.\d+", container["image"])
    space = next(o for o in OBJECTS if o["kind"] == "Namespace")["metadata"]["labels"]
    assert space["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_mounts_is_there_and_what_is_there_is_mounted(name: str) -> None:
    """A volume that nobody mounts is a mistake in the name of one."""
    pod = PODS[name]["spec"]
    mounted = {
        mount["name"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]
        for mount in container["volumeMounts"]
    }
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert not any("hostPath" in volume for volume in pod["volumes"])


def test_what_selects_pods_selects_some() -> None:
    """Services, budgets and policies by the labels that the pods have."""
    labels = [pod["metadata"]["labels"] for pod in PODS.values()]
    pick = "app.kubernetes.io/name"
    for found in OBJECTS:
        spec = found.get("spec", {})
        if found["kind"] == "Service":
            assert {pick: spec["selector"][pick]} in labels
        elif found["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            assert spec["selector"]["matchLabels"] in labels


def test_only_the_gateway_leaves_the_cluster() -> None:
    """Everything is forbidden first; an address outside is in one policy, over TLS alone."""
    assert POLICIES["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    outside = [
        (name, rule)
        for name, policy in POLICIES.items()
        for rule in policy.get("egress", [])
        for to in rule.get("to", [{"ipBlock": "anywhere"}])
        if "ipBlock" in to
    ]
    assert {name for name, _ in outside} == {"gateway"}
    assert [rule["ports"][0]["port"] for _, rule in outside] == [5432, 443]
    private = outside[1][1]["to"][0]["ipBlock"]["except"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(private)


def test_vllm_is_reached_by_the_gateway_and_reaches_itself() -> None:
    """It answers /tokenize, /score and /metrics to anybody who reaches it."""
    vllm, gateway = (PODS[n]["metadata"]["labels"] for n in ("vllm", "gateway"))
    into, among = POLICIES["vllm"]["ingress"]
    assert into["from"] == [{"podSelector": {"matchLabels": gateway}}]
    assert [p["port"] for p in into["ports"]] == [8100]
    assert among == {"from": [{"podSelector": {"matchLabels": vllm}}]}
    assert POLICIES["vllm"]["egress"] == [{"to": [{"podSelector": {"matchLabels": vllm}}]}]


def test_vllm_in_the_cluster_is_told_to_be_silent() -> None:
    """As an engine that we supervise is, and Ray with it."""
    env = {e["name"]: e.get("value") for e in PODS["vllm"]["spec"]["containers"][0]["env"]}
    assert env.items() >= {**QUIET, "RAY_USAGE_STATS_ENABLED": "0"}.items()


def test_the_gateways_file_is_valid_and_its_paths_are_mounted(tmp_path: Path) -> None:
    """By the reader that the gateway has; TLS, and a log that the replicas share."""
    file = tmp_path / "sovereign.toml"
    file.write_text((KUBERNETES / "sovereign.toml").read_text())
    config = load_config(file)
    assert config.audit.store is not None
    assert "sslmode=verify-full" in config.audit.store
    assert config.tls is not None
    container = PODS["gateway"]["spec"]["containers"][0]
    mounts = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
    for path in (
        config.guard.key_file,
        config.audit.path,
        config.audit.key_file,
        config.audit.token_key_file,
        config.keys.file,
        config.tls.cert_file,
        config.tls.key_file,
    ):
        assert any(path.is_relative_to(mount) for mount in mounts), path
    assert container["ports"][0]["containerPort"] == config.gateway.port
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in ("/healthz", "/readyz")
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert config.upstream["vllm"].base_url.startswith("http://vllm:8100/")
