"""Builders of PromQL: every selector filters by the variables at the top of the dashboard.

Several exporters may watch the same server from different networks, so queries about a server aggregate over them:
`max by (server_name)` of a success is 1 if any exporter can federate with the server.
"""

from collections.abc import Callable

from exporter.judging.peers import DECISIVE
from exporter.metrics.exporter_metrics import NAMESPACE
from exporter.metrics.families import PREFIX
from exporter.model.enums import Stage

EXPORTER_MATCHERS = ('job=~"$job"', 'instance=~"$instance"')
ALERT_NAMES = 'alertname=~"MatrixFederation.+"'
_SERVERS_MATCHER = 'server_name=~"$server_name"'
_SERVER_MATCHER = 'server_name="$server_name"'


def select(metric: str, *matchers: str) -> str:
    """Return a selector of the selected exporters' series; `metric` is a full name."""
    return f"{metric}{{{', '.join([*EXPORTER_MATCHERS, *matchers])}}}"


def select_servers(metric: str, *matchers: str) -> str:
    """Return a selector for all selected servers; `metric` is a name in `FAMILIES`, without the prefix."""
    return select(PREFIX + metric, _SERVERS_MATCHER, *matchers)


def select_server(metric: str, *matchers: str) -> str:
    """Return a selector for the one selected server; `metric` is a name in `FAMILIES`, without the prefix."""
    return select(PREFIX + metric, _SERVER_MATCHER, *matchers)


def select_exporters(metric: str, *matchers: str) -> str:
    """Return a selector for the exporters' metrics about themselves; `metric` has no prefix."""
    return select(f"{NAMESPACE}_{metric}", *matchers)


EXPORTERS_UP = select("up", 'server_name=""')
"""Whether Prometheus can scrape each exporter. A scrape of /probe has the label server_name."""


def max_by(selector: str, *labels: str) -> str:
    """Return the maximum over all exporters, by server or by `labels`."""
    return f"max by ({', '.join(labels or ('server_name',))}) ({selector})"


def min_by(selector: str, *labels: str) -> str:
    """Return the minimum over all exporters, by server or by `labels`."""
    return f"min by ({', '.join(labels or ('server_name',))}) ({selector})"


def pick_one(selector: str, keys: str, *labels: str) -> str:
    """Return one series for each combination of the labels in `keys`, although `labels` may differ."""
    return f"topk by ({keys}) (1, {max_by(selector, *keys.split(', '), *labels)})"


def federation_state(select: Callable[..., str], *keys: str, window: str | None = None) -> str:
    """Return the state of each server, as `check` and the alerts see it, or of each combination of `keys`:

    - 1: all implementations get through, according to every exporter, and no reverse proxy breaks joins or messages;
    - 0: neither Synapse nor Dendrite gets through, according to every exporter;
    - 0.5: anything in between.

    With a `window`, each of these counts as failed if it failed at any time in it.
    """

    def worst(selector: str) -> str:
        return f"min_over_time({selector}[{window}])" if window else selector

    proxy = worst(select("stage_success", f'probe_stage="{Stage.PROXY}"'))
    decisive = worst(select("peer_success", f'implementation=~"{"|".join(sorted(DECISIVE))}"'))
    everything = f"{worst(select('peer_success'))} or {proxy}"
    return f"({min_by(everything, *keys)} + {max_by(decisive, *keys)}) / 2"


def with_place(select: Callable[..., str]) -> Callable[..., str]:
    """Return a function like `select` whose series have the label `place`, as in the rules: the label `vantage` of the
    exporter's target, or its instance if it has none.
    """

    def select_with_place(metric: str, *matchers: str) -> str:
        place = f'label_replace({select(metric, *matchers)}, "place", "$1", "instance", "(.+)")'
        return f'label_replace({place}, "place", "$1", "vantage", "(.+)")'

    return select_with_place


def or_named(expression: str, label: str, text: str) -> str:
    """Return PromQL with one series whose `label` has the text if there is none, for panels that only show names."""
    return f'{expression} or on () label_replace(vector(1), "{label}", "{text}", "__name__", "")'


def count_or_zero(expression: str) -> str:
    """Return the number of series, and 0 instead of nothing if there is none."""
    return f"count({expression}) or vector(0)"


def to_days(expression: str) -> str:
    """Convert seconds to days."""
    return f"{expression} / 86400"


def to_milliseconds(expression: str) -> str:
    """Convert Unix seconds to milliseconds, which Grafana's date units expect."""
    return f"{expression} * 1000"
