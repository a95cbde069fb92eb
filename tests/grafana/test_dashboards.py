"""The generated dashboard files, and requirements that the linter does not check."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.metrics.families import FAMILIES, SUFFIXES
from exporter.metrics.rules.values import defaults
from grafana.generate import DASHBOARDS_FOLDER, build_dashboards, render
from grafana.layout import GRID_WIDTH, line
from tests.grafana.dashboards import ALL, Json, annotations, interpolate, label_values, panels, targets, variables
from tests.grafana.linter import VALUES, find_selectors, parse

REMOVED_KINDS = {"graph", "singlestat", "table-old"}  # removed from Grafana
KINDS_WITH_NUMBERS = {"stat", "table", "bargauge"}
PROMETHEUS_METRICS = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "ALERTS",
    "ALERTS_FOR_STATE",
}  # which it adds itself
UIDS = {
    "overview.json": "mxfed-overview",
    "server.json": "mxfed-server",
    "certificates.json": "mxfed-certs",
    "exporter.json": "mxfed-exporter",
}
CELL = "${__value.raw}"
ALERTS = sorted(defaults().alerts)
PROVISIONING = DASHBOARDS_FOLDER.parent / "provisioning"


PANELS = {f"{name}: {panel['title']}": panel for name, dashboard in ALL.items() for panel in panels(dashboard)}


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", ALL)
def test_committed_dashboard_equals_the_generated_one(name: str) -> None:
    """Run `make docs` after you change a dashboard."""
    assert (DASHBOARDS_FOLDER / name).read_text(encoding="utf-8") == render(build_dashboards()[name])


def test_folder_contains_only_dashboards() -> None:
    """Grafana would try to load any other file."""
    assert {path.name for path in DASHBOARDS_FOLDER.iterdir()} == ALL.keys()


def test_uids_never_change() -> None:
    """Bookmarks, alerts and other dashboards contain them."""
    assert {name: dashboard["uid"] for name, dashboard in ALL.items()} == UIDS


@pytest.mark.parametrize("name", ALL)
def test_dashboard_can_be_imported_anywhere(name: str) -> None:
    """Grafana assigns the ID when it imports a dashboard, and inputs belong to dashboards exported for sharing."""
    assert ALL[name].keys() & {"id", "version", "__inputs", "__requires", "__elements"} == set()


def test_panel_titles_are_unique_within_a_dashboard() -> None:
    assert len(PANELS) == sum(len(panels(dashboard)) for dashboard in ALL.values())


# ---------------------------------------------------------------- positions


@pytest.mark.parametrize("name", ALL)
def test_panels_fit_into_the_grid(name: str) -> None:
    assert ALL[name]["panels"]
    for panel in ALL[name]["panels"]:
        position = panel["gridPos"]
        assert min(position["x"], position["y"]) >= 0, panel["title"]
        assert position["x"] + position["w"] <= GRID_WIDTH, panel["title"]


@pytest.mark.parametrize("name", ALL)
def test_panels_do_not_overlap(name: str) -> None:
    taken = [(panel["title"], cells(panel)) for panel in ALL[name]["panels"]]
    assert [(one, other) for (one, here), (other, there) in combinations(taken, 2) if here & there] == []


def cells(panel: Json) -> set[tuple[int, int]]:
    position = panel["gridPos"]
    columns = range(position["x"], position["x"] + position["w"])
    lines = range(position["y"], position["y"] + position["h"])
    return {(x, y) for x in columns for y in lines}


@pytest.mark.parametrize("name", ALL)
def test_ids_are_unique(name: str) -> None:
    ids = Counter(panel["id"] for panel in ALL[name]["panels"])
    assert max(ids.values()) == 1


def test_line_that_does_not_fill_the_grid_raises() -> None:
    """Grafana would move the panels below it upwards."""
    with pytest.raises(ValueError, match=r"^expected panels with a total width of 24, found 20: one, two$"):
        line(8, (12, {"title": "one"}), (8, {"title": "two"}))


# ---------------------------------------------------------------- display


@pytest.mark.parametrize("title", PANELS)
def test_current_grafana_supports_the_kind_of_panel(title: str) -> None:
    assert PANELS[title]["type"] not in REMOVED_KINDS


@pytest.mark.parametrize("title", PANELS)
def test_colour_is_never_the_only_sign(title: str) -> None:
    """A value with a colour of its own also has a text, or the panel prints the number."""
    assert list(field_options(PANELS[title]))
    for options in field_options(PANELS[title]):
        assert all(mapped_texts(options)), options
        if len(options.get("thresholds", {}).get("steps", ())) > 1:
            assert PANELS[title]["type"] in KINDS_WITH_NUMBERS


@pytest.mark.parametrize("title", [title for title, panel in PANELS.items() if panel["type"].startswith("stat")])
def test_mapped_texts_of_a_panel_differ(title: str) -> None:
    assert list(field_options(PANELS[title]))
    for options in field_options(PANELS[title]):
        assert max(Counter(mapped_texts(options)).values(), default=1) == 1


@pytest.mark.parametrize(
    "title", [title for title, panel in PANELS.items() if panel["type"] in {"state-timeline", "status-history"}]
)
def test_states_show_their_text(title: str) -> None:
    panel = PANELS[title]
    assert panel["fieldConfig"]["defaults"]["mappings"]
    assert panel["options"]["showValue"] == "always"


def field_options(panel: Json) -> list[Json]:
    """Return the field options that apply to all fields, followed by every override."""
    config = panel["fieldConfig"]
    overrides = [{each["id"]: each["value"] for each in override["properties"]} for override in config["overrides"]]
    return [config["defaults"], *overrides]


def mapped_texts(options: Json) -> list[str]:
    """Return the texts of all value mappings."""
    texts = []
    for mapping in options.get("mappings", ()):
        values = mapping["options"]
        results = [values["result"]] if mapping["type"] == "range" else values.values()
        texts += [result["text"] for result in results]
    return texts


@pytest.mark.parametrize("title", [title for title, panel in PANELS.items() if panel["type"] == "table"])
def test_referenced_columns_of_a_table_exist(title: str) -> None:
    """Overrides and the sort order refer to columns by title."""
    panel = PANELS[title]
    organize = panel["transformations"][1]["options"]
    titles = organize["renameByName"]
    columns = {titles.get(field, field) for field in organize["indexByName"]}
    referenced = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    referenced |= {each["displayName"] for each in panel["options"]["sortBy"]}
    assert referenced <= columns


# ---------------------------------------------------------------- queries


def known_metrics() -> set[str]:
    """Return the names of all series that Prometheus stores, with their suffixes."""
    exporter_metrics = ExporterMetrics()
    exporter_metrics.add_list("/etc/servers.json")
    exporter_metrics.use_proxies(["proxy.test:3128"])
    own = {sample.name for family in exporter_metrics.registry.collect() for sample in family.samples}
    return {family.full_name for family in FAMILIES} | own | PROMETHEUS_METRICS


def queried_metrics(dashboard: Json) -> set[str]:
    """Return the names of all metrics in queries, annotations and variables."""
    expressions = [target["expr"] for _, target in targets(dashboard)]
    expressions += annotations(dashboard).values()
    expressions += [label_values(each["query"])[0] for each in variables(dashboard, "query").values()]
    return {str(selector.name) for expression in expressions for selector in find_selectors(parse(expression))}


@pytest.mark.parametrize("name", ALL)
def test_every_metric_exists(name: str) -> None:
    assert queried_metrics(ALL[name])
    assert queried_metrics(ALL[name]) - known_metrics() == set()


def test_every_metric_appears_in_a_dashboard() -> None:
    shown = set().union(*map(queried_metrics, ALL.values()))
    families = {family.full_name for family in FAMILIES}
    assert families - shown == set()


def test_every_metric_has_the_suffix_of_its_kind() -> None:
    """Otherwise the names above would differ from those in Prometheus."""
    assert all(family.full_name.endswith(SUFFIXES[family.metric_type]) for family in FAMILIES)


# ---------------------------------------------------------------- links


def urls(dashboard: Json) -> set[str]:
    return set(re.findall(r'"url": "([^"]+)"', json.dumps(dashboard)))


@pytest.mark.parametrize("name", ALL)
def test_links_between_dashboards_have_a_target(name: str) -> None:
    paths = {urlsplit(url).path for url in urls(ALL[name]) if url.startswith("/")}
    assert paths <= {f"/d/{dashboard['uid']}" for dashboard in ALL.values()}


@pytest.mark.parametrize("name", ALL)
def test_links_to_the_documentation_have_a_target(name: str) -> None:
    pages = [url.partition("/blob/main/")[2] for url in urls(ALL[name]) if url.startswith("https:")]
    assert [
        page
        for page in pages
        for alert in ALERTS
        if not (Path(page).suffix == ".md" and (DASHBOARDS_FOLDER.parents[1] / page.replace(CELL, alert)).is_file())
    ] == []


@pytest.mark.parametrize("name", ["overview.json", "server.json", "certificates.json"])
def test_servers_lead_to_their_page_of_the_exporter(name: str) -> None:
    """Its URL is the value of a variable, because Grafana does not know it."""
    assert f"${{exporter_url:raw}}/servers/{CELL}" in urls(ALL[name])
    assert variables(ALL[name], "textbox").keys() == {"exporter_url"}


def test_dashboard_of_a_server_leads_to_its_page_of_the_exporter() -> None:
    assert ALL["server.json"]["links"][1]["url"] == "${exporter_url:raw}/servers/${server_name}"


@pytest.mark.parametrize("name", ALL)
def test_menu_of_every_dashboard_lists_all_dashboards(name: str) -> None:
    (link,) = [link for link in ALL[name]["links"] if link["type"] == "dashboards"]
    assert [name for name, dashboard in ALL.items() if set(link["tags"]) <= set(dashboard["tags"])] == list(ALL)


def test_unknown_variable_raises() -> None:
    """So the tests above notice a query with a variable that no dashboard defines."""
    with pytest.raises(KeyError, match="undefined"):
        interpolate("$job ${undefined:queryparam}", VALUES)


# ---------------------------------------------------------------- provisioning


def test_provisioned_data_source_has_the_type_that_the_dashboards_require() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    kinds = {variables(dashboard, "datasource")["datasource"]["query"] for dashboard in ALL.values()}
    assert {source["type"]} == kinds


def test_provisioned_dashboards_are_read_only() -> None:
    """The next release would revert changes that users make in the browser."""
    content = yaml.safe_load((PROVISIONING / "dashboards/matrix-federation.yml").read_text())
    (provider,) = content["providers"]
    assert content["apiVersion"] == 1
    assert {key: provider[key] for key in ("type", "allowUiUpdates", "disableDeletion", "options")} == {
        "type": "file",
        "allowUiUpdates": False,
        "disableDeletion": True,
        "options": {"path": "/var/lib/grafana/dashboards/matrix-federation"},
    }


def test_overview_links_to_dashboards_and_to_the_documentation() -> None:
    """The tests of links find links of both kinds."""
    assert {url.startswith("/") for url in urls(ALL["overview.json"])} == {True, False}
