"""The chart of deploy/helm, as Helm lints and renders it."""

import json
import tomllib
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any, TypeAlias

import jsonschema
import kubernetes_validate
import pytest
import yaml

from exporter.cli import parser
from exporter.config import load
from exporter.demo.authority import Authority
from exporter.metrics.rules import rendering
from exporter.metrics.rules.values import load as load_values
from exporter.outbound.signing import generate_seed
from tests.programs import program
from tests.web.pems import write_server

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/matrix-federation-exporter"
EVERYTHING = ["--values", str(Path(__file__).with_name("everything.yaml"))]
NAME = "mine-matrix-federation-exporter"
KUBERNETES = ("1.28", "1.37")  # the oldest that the chart is for, and the newest that is known here
DROP_SERVERS = {"sourceLabels": ["server_name"], "regex": ".+", "action": "drop"}
CUSTOM = {"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}  # which Kubernetes itself does not have
HTTP_ROUTE = json.loads(Path(__file__).with_name("schemas").joinpath("httproute.json").read_text())
OUTBOUND = [
    "--set",
    "outbound.enabled=true,outbound.signingKeySecret=key,config.outbound.server_name=probe.example.org",
]

Resource: TypeAlias = dict[str, Any]

pytestmark = pytest.mark.system("helm")


def helm(command: str, *arguments: str) -> "CompletedProcess[str]":
    whole = [program("helm"), command, *arguments]
    return run(whole, capture_output=True, text=True, check=False)


def rendered(*values: str, kubernetes: str = KUBERNETES[-1]) -> dict[tuple[str, str], Resource]:
    """By kind and name."""
    made = helm("template", "mine", str(CHART), "--namespace", "matrix", "--kube-version", kubernetes, *values)
    assert made.returncode == 0, made.stderr
    resources = [resource for resource in yaml.safe_load_all(made.stdout) if resource]
    return {(resource["kind"], resource["metadata"]["name"]): resource for resource in resources}


def pod(resource: Resource) -> Resource:
    found: Resource = resource["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("values", [[], EVERYTHING], ids=["default", "everything"])
def test_helm_has_no_complaint(values: list[str]) -> None:
    """Warnings are errors."""
    linted = helm("lint", "--strict", "--kube-version", KUBERNETES[-1], str(CHART), *values)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", [[], EVERYTHING, OUTBOUND], ids=["default", "everything", "outbound"])
def test_kubernetes_knows_every_field(values: list[str], kubernetes: str) -> None:
    """By the schemas of its own API."""
    native = [each for each in rendered(*values, kubernetes=kubernetes).values() if each["apiVersion"] not in CUSTOM]
    assert {"ConfigMap", "Service"} <= {resource["kind"] for resource in native}
    for resource in native:
        kubernetes_validate.validate(resource, kubernetes, strict=True)


def test_kubernetes_refuses_an_unknown_field() -> None:
    service = rendered()["Service", NAME]
    service["spec"]["invented"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="invented"):
        kubernetes_validate.validate(service, KUBERNETES[-1], strict=True)


def without_unknown_fields(schema: Any) -> Any:
    """Return the schema as a strict validation applies it: an object has no other fields than those that it names."""
    if isinstance(schema, list):
        return [without_unknown_fields(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: without_unknown_fields(value) for key, value in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


STRICT_HTTP_ROUTE = without_unknown_fields(
    {**HTTP_ROUTE, "properties": {**HTTP_ROUTE["properties"], "metadata": {"type": "object"}}}
)


def test_the_gateway_api_knows_every_field_of_the_route() -> None:
    """It refuses one that is unknown, and one of another type."""
    route = rendered(*EVERYTHING)["HTTPRoute", NAME]
    jsonschema.validate(route, STRICT_HTTP_ROUTE)
    for wrong in ({"invented": True}, {"hostnames": "exporter.example.org"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**route, "spec": {**route["spec"], **wrong}}, STRICT_HTTP_ROUTE)


def test_default_is_one_exporter() -> None:
    """Nothing that needs more than Kubernetes itself."""
    assert sorted(rendered()) == [
        ("ConfigMap", NAME),
        ("Deployment", NAME),
        ("NetworkPolicy", NAME),
        ("Pod", f"{NAME}-test"),
        ("Service", NAME),
    ]


def test_everything_is_a_sharded_exporter_with_rules_and_dashboards() -> None:
    """One resource for each file of rules, and one for each dashboard."""
    assert sorted(rendered(*EVERYTHING)) == sorted(
        [
            *((kind, NAME) for kind in ("ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Probe", "Service")),
            *((kind, NAME) for kind in ("HTTPRoute", "Ingress", "ServiceAccount", "ServiceMonitor", "StatefulSet")),
            ("Pod", f"{NAME}-test"),
            *(("PrometheusRule", f"{NAME}-{file.stem}") for file in rules()),
            *(("ConfigMap", f"{NAME}-{file.stem}") for file in dashboards()),
        ]
    )


# ---------------------------------------------------------------- the exporter


@pytest.mark.parametrize(("values", "kind"), [([], "Deployment"), (EVERYTHING, "StatefulSet")])
def test_exporter_may_do_nothing_but_its_work(values: list[str], kind: str) -> None:
    """What Kubernetes calls the restricted profile, and no file system to write to. The same holds for `helm test`."""
    resources = rendered(*values)
    for spec in (pod(resources[kind, NAME]), resources["Pod", f"{NAME}-test"]["spec"]):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert spec["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_command_line_is_understood() -> None:
    """By the exporter itself."""
    (container,) = pod(rendered()["Deployment", NAME])["containers"]
    chosen = parser().parse_args(container["args"])
    assert (chosen.config, list(map(str, chosen.listen))) == (
        Path(container["volumeMounts"][0]["mountPath"], "config.yaml"),
        ["0.0.0.0:10448"],
    )


def test_shard_is_the_index_of_its_pod() -> None:
    """Which Kubernetes puts on a label, and the label into the environment, and that into the command line."""
    stateful = rendered(*EVERYTHING)["StatefulSet", NAME]
    (container,) = pod(stateful)["containers"]
    assert (stateful["spec"]["replicas"], container["args"], container["env"]) == (
        3,
        [
            "serve",
            "--config=/etc/matrix-federation-exporter/config.yaml",
            "--web.listen-address=[::]:10448",
            "--shard.index=$(SHARD_INDEX)",
            "--shard.count=3",
            "--log.format=json",
        ],
        [
            {
                "name": "SHARD_INDEX",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}},
            },
            {"name": "TZ", "value": "Europe/Berlin"},
        ],
    )


def test_configuration_arrives_whole(tmp_path: Path) -> None:
    """As the exporter reads it."""
    file = tmp_path / "config.yaml"
    file.write_text(rendered(*EVERYTHING)["ConfigMap", NAME]["data"]["config.yaml"])
    config = load(file)
    assert [str(server.server_name) for server in config.servers] == ["matrix.example"]
    assert list(map(str, config.network.allow_networks)) == ["10.20.0.0/16"]


def test_history_is_kept_on_a_volume(tmp_path: Path) -> None:
    """Each shard has its own, since each watches other servers. The configuration names a file on it."""
    resources = rendered(*EVERYTHING)
    stateful = resources["StatefulSet", NAME]
    (claim,) = stateful["spec"]["volumeClaimTemplates"]
    assert (claim["metadata"]["name"], claim["spec"]) == (
        "history",
        {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "3Gi"}},
        },
    )
    assert {"name": "history", "mountPath": "/data"} in pod(stateful)["containers"][0]["volumeMounts"]
    file = tmp_path / "config.yaml"
    file.write_text(resources["ConfigMap", NAME]["data"]["config.yaml"])
    assert load(file).storage.path == Path("/data/history.sqlite")


def test_history_of_one_exporter() -> None:
    """Its volume is claimed once. What the values say about storage remains."""
    enabled = ["--set", "persistence.enabled=true", "--set", "config.storage.retention=30d"]
    resources = rendered(*enabled)
    assert resources["PersistentVolumeClaim", NAME]["spec"]["resources"] == {"requests": {"storage": "3Gi"}}
    volume = {"name": "history", "persistentVolumeClaim": {"claimName": NAME}}
    assert volume in pod(resources["Deployment", NAME])["volumes"]
    written = yaml.safe_load(resources["ConfigMap", NAME]["data"]["config.yaml"])
    assert written["storage"] == {"path": "/data/history.sqlite", "retention": "30d"}
    kubernetes_validate.validate(resources["PersistentVolumeClaim", NAME], KUBERNETES[-1], strict=True)


def test_another_configuration_is_another_pod() -> None:
    """Else the exporter would not notice."""

    def annotations(*values: str) -> Resource:
        found: Resource = rendered(*values)["Deployment", NAME]["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations() != annotations("--set", "config.servers={other.example}")


@pytest.mark.parametrize(
    ("values", "open_networks"),
    [
        ([], ["0.0.0.0/0 but 6", "::/0 but 2"]),
        (EVERYTHING, ["0.0.0.0/0 but 6", "::/0 but 2", "10.20.0.0/16 but 0"]),
        (["--set", "config.network.address_policy=any"], ["0.0.0.0/0 but 0", "::/0 but 0"]),
    ],
    ids=["public", "allowed", "any"],
)
def test_network_is_as_open_as_the_configuration(values: list[str], open_networks: list[str]) -> None:
    """What the exporter refuses to connect to, Kubernetes refuses too."""
    blocks = [to["ipBlock"] for to in rendered(*values)["NetworkPolicy", NAME]["spec"]["egress"][1]["to"]]
    assert [f"{block['cidr']} but {len(block.get('except', ()))}" for block in blocks] == open_networks


# ---------------------------------------------------------------- who reaches the exporter, and as whom


def test_ingress_and_route_lead_to_the_service() -> None:
    """By the port that the service has."""
    resources = rendered(*EVERYTHING)
    (port,) = resources["Service", NAME]["spec"]["ports"]
    (rule,) = resources["Ingress", NAME]["spec"]["rules"]
    backend = {"service": {"name": NAME, "port": {"name": port["name"]}}}
    assert rule == {
        "host": "exporter.example.org",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    assert resources["HTTPRoute", NAME]["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["exporter.example.org"],
        "rules": [{"backendRefs": [{"name": NAME, "port": port["port"]}]}],
    }


# ---------------------------------------------------------------- the other direction


def test_other_homeservers_reach_a_service_of_their_own() -> None:
    """That of /metrics is not open to them. The network policy lets everyone in, at this port alone."""
    resources = rendered(*OUTBOUND, "--set", "networkPolicy.from[0].podSelector.matchLabels.app=prometheus")
    service = resources["Service", f"{NAME}-outbound"]["spec"]
    assert service == {
        "type": "LoadBalancer",
        "ports": [{"name": "outbound", "port": 8448, "targetPort": "outbound"}],
        "selector": resources["Service", NAME]["spec"]["selector"],
    }
    assert [port["name"] for port in resources["Service", NAME]["spec"]["ports"]] == ["metrics"]
    (container,) = pod(resources["Deployment", NAME])["containers"]
    assert {"name": "outbound", "containerPort": 8448} in container["ports"]
    _, everyone = resources["NetworkPolicy", NAME]["spec"]["ingress"]
    assert everyone == {"ports": [{"port": "outbound"}]}


@pytest.mark.parametrize("tls", [False, True], ids=["behind a proxy", "with a certificate"])
def test_secrets_of_the_other_direction_are_where_the_configuration_says(tls: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """They are mounted as files of root that the group of the exporter may read."""
    resources = rendered(*OUTBOUND, *(["--set", "outbound.tlsSecret=certificate"] if tls else []))
    spec = pod(resources["Deployment", NAME])
    (volume,) = (volume["projected"] for volume in spec["volumes"] if volume["name"] == "outbound")
    paths = [item["path"] for source in volume["sources"] for item in source["secret"]["items"]]
    assert (volume["defaultMode"], paths) == (0o440, ["signing.key", *(["tls.crt", "tls.key"] if tls else [])])
    write_server(tmp_path, Authority(tmp_path))
    for name, content in (("tls.crt", "cert.pem"), ("tls.key", "key.pem")):
        (tmp_path / content).rename(tmp_path / name)
    (tmp_path / "signing.key").write_text(str(generate_seed()))
    (tmp_path / "signing.key").chmod(0o400)
    file = tmp_path / "config.yaml"
    file.write_text(resources["ConfigMap", NAME]["data"]["config.yaml"].replace("/secrets/outbound", str(tmp_path)))
    outbound = load(file).outbound
    assert outbound
    assert (str(outbound.server_name), list(map(str, outbound.listen)), bool(outbound.tls)) == (
        "probe.example.org",
        ["0.0.0.0:8448"],
        tls,
    )


# ---------------------------------------------------------------- accounts and tests


@pytest.mark.parametrize(
    ("values", "account"),
    [
        ([], "default"),
        (["--set", "serviceAccount.create=true"], NAME),
        (["--set", "serviceAccount.create=true,serviceAccount.name=prober"], "prober"),
        (["--set", "serviceAccount.name=existing"], "existing"),
    ],
    ids=["default", "created", "named", "existing"],
)
def test_service_account(values: list[str], account: str) -> None:
    """It is created only on request, and its token is for nobody."""
    resources = rendered(*values)
    assert pod(resources["Deployment", NAME])["serviceAccountName"] == account
    created = [resource for (kind, _), resource in resources.items() if kind == "ServiceAccount"]
    assert [(each["metadata"]["name"], each["automountServiceAccountToken"]) for each in created] == (
        [(account, False)] if "create=true" in "".join(values) else []
    )


def test_host_aliases() -> None:
    aliases = pod(rendered(*EVERYTHING)["StatefulSet", NAME])["hostAliases"]
    assert aliases == [{"ip": "192.0.2.1", "hostnames": ["lists.example.org"]}]


def test_helm_test_asks_the_exporter_through_its_service() -> None:
    """The service does not select the pod that asks, and the network policy lets it in."""
    resources = rendered(*EVERYTHING)
    asking = resources["Pod", f"{NAME}-test"]
    assert asking["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = asking["spec"]["containers"]
    assert container["command"] == [
        "/usr/bin/python3.11",
        "/app/healthcheck.py",
        f"https://{NAME}:10448/-/ready",
    ]
    labels = asking["metadata"]["labels"]
    assert not resources["Service", NAME]["spec"]["selector"].items() <= labels.items()
    (ingress,) = resources["NetworkPolicy", NAME]["spec"]["ingress"]
    assert {"podSelector": {"matchLabels": labels}} in ingress["from"]


# ---------------------------------------------------------------- Prometheus and Grafana


def test_service_monitor() -> None:
    """The job has the name by which the rules know it."""
    assert rendered(*EVERYTHING)["ServiceMonitor", NAME]["spec"] == {
        "sampleLimit": 751000,
        "selector": {
            "matchLabels": {
                "app.kubernetes.io/name": "matrix-federation-exporter",
                "app.kubernetes.io/instance": "mine",
            }
        },
        "endpoints": [
            {
                "port": "metrics",
                "scheme": "https",
                "interval": "1m",
                "scrapeTimeout": "30s",
                "relabelings": [{"targetLabel": "job", "replacement": "matrix-federation"}],
                "metricRelabelings": [DROP_SERVERS],
                "tlsConfig": {"insecureSkipVerify": True},
            }
        ],
    }


@pytest.mark.parametrize(
    ("probe", "dropped"), [("true", [DROP_SERVERS]), ("false", [])], ids=["with the probe", "alone"]
)
def test_no_server_has_series_of_both_monitors(probe: str, dropped: list[Resource]) -> None:
    """Else one exporter counts as two vantage points. What the values relabel besides remains."""
    own = {"action": "labeldrop", "regex": "room"}
    values = [
        f"probe.enabled={probe}",
        *(f"serviceMonitor.endpoint.metricRelabelings[0].{k}={v}" for k, v in own.items()),
    ]
    monitor = rendered(*EVERYTHING, "--set", ",".join(values))["ServiceMonitor", NAME]
    assert monitor["spec"]["endpoints"][0]["metricRelabelings"] == [*dropped, own]


def test_probe() -> None:
    """It queries the service, for which any shard answers, and which is the instance, as the exporter is elsewhere."""
    assert rendered(*EVERYTHING)["Probe", NAME]["spec"] == {
        "jobName": "matrix-federation",
        "interval": "2m",
        "scrapeTimeout": "30s",
        "prober": {"url": f"{NAME}.matrix.svc:10448", "scheme": "https", "path": "/probe"},
        "targets": {
            "staticConfig": {
                "static": ["asked.example"],
                "relabelingConfigs": [
                    {"sourceLabels": ["instance"], "targetLabel": "server_name"},
                    {"sourceLabels": ["__address__"], "targetLabel": "instance"},
                ],
            }
        },
        "metricRelabelings": [{"action": "labeldrop", "regex": "exported_server_name"}],
    }


def rules() -> list[Path]:
    return sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))


def dashboards() -> list[Path]:
    return sorted((ROOT / "grafana/dashboards").glob("*.json"))


def test_copies_in_the_chart_are_the_originals() -> None:
    """Run `make chart` after a change: a chart can hold only what is in its own folder."""
    copied = sorted((CHART / "files/dashboards").glob("*"))
    assert copied
    assert {file.name: file.read_text() for file in copied} == {file.name: file.read_text() for file in dashboards()}


OTHER_VALUES = """
job: federation
runbooks: https://exporter.example.org/runbooks/
exporter_labels: [instance, pod, cluster]
most_ratio: 0.75
alerts:
  MatrixFederationServerDown: {enabled: false}
  MatrixFederationPeersFailing: {enabled: false}
  MatrixFederationSlow: {severity: page, for: 1h, seconds: 2.5}
  MatrixFederationExporterSampleLimitNear: {sample_limit: 702500}
  MatrixFederationAvailabilityLow: {failure_ratio: 0.0125}
"""


@pytest.mark.parametrize("written", ["{}", OTHER_VALUES], ids=["default", "others"])
def test_chart_fills_the_rules_as_the_exporter_does(written: str, tmp_path: Path) -> None:
    """With the same values, and with the braces that are Prometheus' own."""
    values, chart_values = tmp_path / "values.yaml", tmp_path / "chart.yaml"
    values.write_text(written)
    chart_values.write_text(json.dumps({"prometheusRule": {"values": yaml.safe_load(written)}}))
    resources = rendered(*EVERYTHING, "--values", str(chart_values))
    filled = {
        name.removeprefix(f"{NAME}-"): resource["spec"]
        for (kind, name), resource in resources.items()
        if kind == "PrometheusRule"
    }
    assert filled == {
        name.removesuffix(".yml"): yaml.safe_load(text) for name, text in rendering.render(load_values(values)).items()
    }


def test_rules_select_the_job_of_the_service_monitor() -> None:
    """Unless the values say otherwise."""
    resources = rendered(*EVERYTHING, "--set", "serviceMonitor.job=federation")
    assert 'job="federation"' in str(resources["PrometheusRule", f"{NAME}-servers"])
    assert 'job="matrix-federation"' not in str(resources["PrometheusRule", f"{NAME}-servers"])


def test_dashboards_arrive_whole() -> None:
    """With the label by which Grafana's sidecar finds them."""
    resources = rendered(*EVERYTHING)
    assert dashboards()
    for file in dashboards():
        found = resources["ConfigMap", f"{NAME}-{file.stem}"]
        assert json.loads(found["data"][file.name]) == json.loads(file.read_text())
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("shards=0", "minimum"),
        ("shards=two", "integer"),
        ("shard=2", "additional properties 'shard'"),
        ("image.pullPolicy=Sometimes", "must be one of"),
        ("extraArgs={serve}", "pattern"),
        ("listen=127.0.0.1", "must be one of"),
        ("scheme=ftp", "must be one of"),
        ("service.port=70000", "maximum"),
        ("serviceMonitor.interval=often", "pattern"),
        ("probe.enabled=true", "minItems"),
        ("ingress.enabled=true", "minItems"),
        ("httpRoute.enabled=true", "minItems"),
        ("extraEnv[0].value=nameless", "missing property 'name'"),
        ("hostAliases[0].ip=192.0.2.1", "missing property 'hostnames'"),
        ("prometheusRule.values.runbooks=runbooks", "pattern"),
        ("prometheusRule.values.alerts.MatrixFederationSlo.seconds=2", "additional properties 'MatrixFederationSlo'"),
        ("prometheusRule.values.alerts.MatrixFederationSlow.second=2", "additional properties 'second'"),
        ("prometheusRule.values.alerts.MatrixFederationSlow.seconds=two", "number"),
        ("config=null", "missing property 'config'"),
        ("outbound.enabled=true", "signingKeySecret"),
        ("outbound.enabled=true,outbound.signingKeySecret=key", "missing property 'outbound'"),
        (f"{OUTBOUND[1]},shards=2", "maximum"),
        (f"{OUTBOUND[1]},outbound.service.type=ExternalName", "must be one of"),
    ],
)
def test_wrong_value_is_refused(wrong: str, complaint: str) -> None:
    """Before anything is installed."""
    refused = helm("template", str(CHART), "--kube-version", KUBERNETES[-1], "--set", wrong)
    assert refused.returncode != 0
    assert complaint in refused.stderr


def test_schema_names_the_values_that_are_there() -> None:
    """Helm itself refuses a value that the schema lacks; `global` is Helm's."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert sorted(schema["properties"]) == sorted([*yaml.safe_load((CHART / "values.yaml").read_text()), "global"])


def test_chart_has_the_version_of_the_exporter() -> None:
    """Both are released together."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)
