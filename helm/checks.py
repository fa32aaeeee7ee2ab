"""What linting cannot see in the rendered chart. Called by test.sh: checks.py HELM CHART RENDERED."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import yaml

HELM, CHART, RENDERED = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
ROOT = CHART.parent.parent
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
ROLES = ("client-reader", "event-persister", "pusher")


def render(values, *settings):
    command = [HELM, "template", "test", str(CHART), "--namespace", "matrix", "--values", str(values)]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def documents(text):
    found = [document for document in yaml.safe_load_all(text) if document]
    named = {(d["kind"], d["metadata"]["name"]): d for d in found}
    assert len(named) == len(found), "two manifests have one name"
    return named


def rendered(values, *settings):
    result = render(values, *settings)
    assert result.returncode == 0, result.stderr
    return documents(result.stdout)


def scaling_changes_nothing_else():
    """n and n + 1 instances differ in that Deployment's `replicas` and in nothing more."""
    for values in VALUES:
        scaled = [f"roles.{role}.replicas" for role in ROLES]
        for key in [*scaled, "router.replicas"]:
            role = key.split(".")[-2]
            off = [f"roles.{r}.autoscaling.enabled=false" for r in ROLES]
            few, more = (rendered(values, *off, f"{key}={n}") for n in (3, 4))
            assert few.keys() == more.keys(), key
            for name, document in few.items():
                other = more[name]
                if name == ("Deployment", f"test-ganglion-{role}"):
                    assert (document["spec"].pop("replicas"), other["spec"].pop("replicas")) == (3, 4)
                assert document == other, f"{key}: {name} changed"


def autoscaled_deployments_have_no_replicas():
    full = documents((RENDERED / "full.yaml").read_text())
    for (kind, _), document in full.items():
        if kind == "HorizontalPodAutoscaler":
            target = document["spec"]["scaleTargetRef"]
            assert "replicas" not in full[target["kind"], target["name"]]["spec"], target


def renders_are_equal():
    for values in VALUES:
        assert render(values).stdout == render(values).stdout, f"{values}: not deterministic"


def pods(named):
    for (kind, name), document in named.items():
        if kind in ("Deployment", "Job"):
            yield f"{kind}/{name}", document["spec"]["template"]


def pods_are_restricted():
    """Pod Security Standards, level restricted, and what we ask beyond it."""
    for file in RENDERED.glob("*.yaml"):
        for name, pod in pods(documents(file.read_text())):
            spec = pod["spec"]
            assert spec["automountServiceAccountToken"] is False, name
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            volumes = {volume["name"] for volume in spec["volumes"]}
            kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
            assert kinds <= {"configMap", "secret"}, name
            for container in spec["containers"]:
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False, name
                assert context["readOnlyRootFilesystem"] is True, name
                assert context["capabilities"] == {"drop": ["ALL"]}, name
                assert container["resources"]["limits"].keys() == {"memory"}, name
                assert {mount["name"] for mount in container["volumeMounts"]} == volumes, name
                secrets = [e for e in container.get("env", []) if "secretKeyRef" in e.get("valueFrom", {})]
                assert not secrets, f"{name}: a secret in the environment"


def only_the_persister_signs():
    for file in RENDERED.glob("*.yaml"):
        for name, pod in pods(documents(file.read_text())):
            signs = "signing-key" in {volume["name"] for volume in pod["spec"]["volumes"]}
            assert signs == name.endswith("event-persister"), name


def grace_is_longer_than_the_drain():
    for drain_ms in (25_000, 60_000):
        named = rendered(MINIMAL, f"config.cluster.drain_ms={drain_ms}")
        for role in ROLES:
            spec = named["Deployment", f"test-ganglion-{role}"]["spec"]["template"]["spec"]
            assert spec["terminationGracePeriodSeconds"] * 1000 > drain_ms, role


def section_keys(section):
    text = (ROOT / "crates/config/src/sections" / f"{section}.rs").read_text()
    name = "".join(word.capitalize() for word in section.split("_"))
    body = re.search(rf"pub struct {name} {{(.*?)^}}", text, re.S | re.M).group(1)
    return set(re.findall(r"^    pub (\w+):", body, re.M))


def configuration_is_the_programs():
    """The file is TOML, every key in it is one the programs know, and values can set all others."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    by_values = schema["properties"]["config"]["properties"]
    by_chart = {
        "postgres": {"primary", "replicas", "password_file"},
        "redis": {"endpoints", "password_file"},
        "rpc": {"listen", "advertise", "ca_file", "cert_file", "key_file"},
        "http": {"listen"},
    }
    full = yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text())["config"]
    config = documents((RENDERED / "full.yaml").read_text())["ConfigMap", "test-ganglion-config"]
    written = tomllib.loads(config["data"]["ganglion.toml"])
    for section, properties in by_values.items():
        # redis and rpc have nothing there that full-values.yaml would have to set.
        assert full.get(section) or section in by_chart, f"full-values.yaml: no config.{section}"
        lost = full.get(section, {}).keys() - written.get(section, {}).keys()
        assert not lost, f"config.{section} is not written: {lost}"
        keys = properties["properties"].keys() | by_chart.get(section, set())
        assert keys == section_keys(section), f"config.{section}: {keys ^ section_keys(section)}"
    for file in RENDERED.glob("*.yaml"):
        for (kind, name), document in documents(file.read_text()).items():
            if kind != "ConfigMap" or "ganglion.toml" not in document["data"]:
                continue
            for section, keys in tomllib.loads(document["data"]["ganglion.toml"]).items():
                unknown = keys.keys() - section_keys(section)
                assert not unknown, f"{name}: [{section}] {unknown}"


def mistakes_are_told():
    for setting, told in [
        ("roles.client-reader.replica=3", "replica"),
        ("config.limits.shard_que=3", "shard_que"),
        ("publicUrl=matrix.example.org", "publicUrl"),
        ("rpc.tls.existingSecrets.client-reader=", "rpc.tls"),
        ("roles.client-reader.replicas=65", "router.slots"),
        ("secrets.signingKey.existingSecret=", "secrets.signingKey"),
        ("redis.endpoints[0]=rediss://redis:6379", "endpoints"),
        ("router.replicas=1", "replicas"),
    ]:
        result = render(MINIMAL, setting)
        assert result.returncode != 0 and told in result.stderr, f"{setting}: {result.stderr}"


def haproxy_accepts_the_router():
    if not shutil.which("haproxy"):
        print("   (no haproxy here: the router's configuration is not checked)")
        return
    for file in RENDERED.glob("*.yaml"):
        router = documents(file.read_text()).get(("ConfigMap", "test-ganglion-router"))
        if not router:
            continue
        # The certificate is not here.
        config = re.sub(r"^( *bind :8008) ssl .*$", r"\1", router["data"]["haproxy.cfg"], flags=re.M)
        path = RENDERED / f"{file.stem}.haproxy.cfg"
        path.write_text(config)
        result = subprocess.run(["haproxy", "-c", "-f", path], capture_output=True, text=True, check=False)
        assert result.returncode == 0 and "WARNING" not in result.stderr, result.stderr


for check in [
    scaling_changes_nothing_else,
    autoscaled_deployments_have_no_replicas,
    renders_are_equal,
    pods_are_restricted,
    only_the_persister_signs,
    grace_is_longer_than_the_drain,
    configuration_is_the_programs,
    mistakes_are_told,
    haproxy_accepts_the_router,
]:
    print("--", check.__name__)
    check()
