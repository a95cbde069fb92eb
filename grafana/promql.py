"""PromQL, as the dashboards ask: every selector takes the exporters and servers that are chosen at the top of the page.

Several exporters may watch the same server from different places, so what is asked of a server is always asked over all
of them: `max by (server_name)` of a success is whether it federates from anywhere.
"""

from exporter.metrics.exporter_metrics import NAMESPACE
from exporter.metrics.families import PREFIX

CHOSEN_EXPORTERS = ('job=~"$job"', 'instance=~"$instance"')
CHOSEN_SERVERS = 'server_name=~"$server_name"'
CHOSEN_SERVER = 'server_name="$server_name"'


def series(metric: str, *matchers: str) -> str:
    """Of the chosen exporters; `metric` is a full name."""
    return f"{metric}{{{', '.join([*CHOSEN_EXPORTERS, *matchers])}}}"


def of_servers(metric: str, *matchers: str) -> str:
    """Of all chosen servers; `metric` as in `exporter.metrics.FAMILIES`, without the prefix."""
    return series(PREFIX + metric, CHOSEN_SERVERS, *matchers)


def of_server(metric: str, *matchers: str) -> str:
    """Of the one chosen server; `metric` as for `of_servers`."""
    return series(PREFIX + metric, CHOSEN_SERVER, *matchers)


def of_exporter(metric: str, *matchers: str) -> str:
    """What the exporters say of themselves; `metric` without the prefix."""
    return series(f"{NAMESPACE}_{metric}", *matchers)


def largest(selected: str, *labels: str) -> str:
    """One series for every server, or for every combination of `labels`, whatever the number of exporters."""
    return f"max by ({', '.join(labels or ('server_name',))}) ({selected})"


def smallest(selected: str, *labels: str) -> str:
    """As `largest`."""
    return f"min by ({', '.join(labels or ('server_name',))}) ({selected})"


def any_one(selected: str, key: str, *labels: str) -> str:
    """One of the series with different `labels` that there are for each combination of the labels in `key`."""
    return f"topk by ({key}) (1, {largest(selected, *key.split(', '), *labels)})"


def number_of(expression: str) -> str:
    """0 and not nothing, where there is none."""
    return f"count({expression}) or vector(0)"


def milliseconds(expression: str) -> str:
    """An instant as Grafana wants it, from Unix seconds."""
    return f"{expression} * 1000"
