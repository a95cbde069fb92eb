"""The dashboards as files, and what no linter asks of them."""

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
from grafana.generate import DASHBOARDS, FOLDER, written
from grafana.layout import WIDTH, line
from tests.grafana.linter import VALUES, parsed, selectors
from tests.grafana.reading import ALL, Json, filled, label_values, marks, panels, targets, variables

OLD_KINDS = {"graph", "singlestat", "table-old"}  # which Grafana no longer draws
PRINTS_NUMBERS = {"stat", "table", "bargauge"}
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"}  # which it makes itself
UIDS = {
    "overview.json": "mxfed-overview",
    "server.json": "mxfed-server",
    "certificates.json": "mxfed-certs",
    "exporter.json": "mxfed-exporter",
}
PROVISIONING = FOLDER.parent / "provisioning"


def of_every(dashboards: dict[str, Json]) -> list[tuple[str, Json]]:
    return [(f"{name}: {panel['title']}", panel) for name, each in dashboards.items() for panel in panels(each)]


PANELS = dict(of_every(ALL))


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", DASHBOARDS)
def test_committed_dashboard_is_the_generated_one(name: str) -> None:
    """Run `make docs` after a change of what it shows."""
    assert (FOLDER / name).read_text(encoding="utf-8") == written(DASHBOARDS[name]())


def test_no_other_file_stands_among_the_dashboards() -> None:
    """Grafana would show it as one."""
    assert {path.name for path in FOLDER.iterdir()} == set(DASHBOARDS)


def test_uids_stay() -> None:
    """Bookmarks, alerts and other dashboards link to them."""
    assert {name: dashboard["uid"] for name, dashboard in ALL.items()} == UIDS


@pytest.mark.parametrize("name", ALL)
def test_nothing_ties_a_dashboard_to_one_grafana(name: str) -> None:
    """An id is given by the Grafana that imports, and inputs are for those exported for sharing."""
    assert ALL[name].keys() & {"id", "version", "__inputs", "__requires", "__elements"} == set()


def test_titles_tell_panels_apart() -> None:
    assert len(PANELS) == sum(len(panels(dashboard)) for dashboard in ALL.values())


# ---------------------------------------------------------------- places


@pytest.mark.parametrize("name", ALL)
def test_panels_lie_within_the_grid(name: str) -> None:
    assert ALL[name]["panels"]
    for panel in ALL[name]["panels"]:
        place = panel["gridPos"]
        assert min(place["x"], place["y"]) >= 0, panel["title"]
        assert place["x"] + place["w"] <= WIDTH, panel["title"]


@pytest.mark.parametrize("name", ALL)
def test_no_panel_lies_on_another(name: str) -> None:
    taken = [(panel["title"], cells(panel)) for panel in ALL[name]["panels"]]
    assert [(one, other) for (one, here), (other, there) in combinations(taken, 2) if here & there] == []


def cells(panel: Json) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return {(x, y) for x in columns for y in lines}


@pytest.mark.parametrize("name", ALL)
def test_ids_are_unique(name: str) -> None:
    ids = Counter(panel["id"] for panel in ALL[name]["panels"])
    assert max(ids.values()) == 1


def test_a_line_that_is_not_full_is_refused() -> None:
    """Grafana would move what comes after it upwards."""
    with pytest.raises(ValueError, match=r"^expected panels of width 24 together, found 20: one, two$"):
        line(8, (12, {"title": "one"}), (8, {"title": "two"}))


# ---------------------------------------------------------------- what is seen


@pytest.mark.parametrize("title", PANELS)
def test_kind_of_panel_is_drawn_by_todays_grafana(title: str) -> None:
    assert PANELS[title]["type"] not in OLD_KINDS


@pytest.mark.parametrize("title", PANELS)
def test_colour_is_never_the_only_sign(title: str) -> None:
    """What has a colour of its own has a word too, or is a number that is printed."""
    assert looks(PANELS[title])
    for look in looks(PANELS[title]):
        assert all(word for word in words(look)), look
        if len(look.get("thresholds", {}).get("steps", ())) > 1:
            assert PANELS[title]["type"] in PRINTS_NUMBERS


@pytest.mark.parametrize("title", [title for title, panel in PANELS.items() if panel["type"].startswith("stat")])
def test_words_that_share_a_panel_differ(title: str) -> None:
    assert looks(PANELS[title])
    for look in looks(PANELS[title]):
        assert max(Counter(words(look)).values(), default=1) == 1


@pytest.mark.parametrize(
    "title", [title for title, panel in PANELS.items() if panel["type"] in {"state-timeline", "status-history"}]
)
def test_states_are_written_into_their_bars(title: str) -> None:
    panel = PANELS[title]
    assert panel["fieldConfig"]["defaults"]["mappings"]
    assert panel["options"]["showValue"] == "always"


def looks(panel: Json) -> list[Json]:
    """How all fields are shown, and how some are."""
    config = panel["fieldConfig"]
    some = [{each["id"]: each["value"] for each in override["properties"]} for override in config["overrides"]]
    return [config["defaults"], *some]


def words(look: Json) -> list[str]:
    texts = []
    for mapping in look.get("mappings", ()):
        options = mapping["options"]
        results = [options["result"]] if mapping["type"] == "range" else options.values()
        texts += [result["text"] for result in results]
    return texts


@pytest.mark.parametrize("title", [title for title, panel in PANELS.items() if panel["type"] == "table"])
def test_columns_of_a_table_are_there(title: str) -> None:
    """What is coloured, linked and sorted by is a column."""
    panel = PANELS[title]
    organised = panel["transformations"][1]["options"]
    names = organised["renameByName"]
    columns = {names.get(field, field) for field in organised["indexByName"]}
    named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    named |= {each["displayName"] for each in panel["options"]["sortBy"]}
    assert named <= columns


# ---------------------------------------------------------------- what is asked


def known_metrics() -> set[str]:
    """Full names, with the suffixes that Prometheus sees."""
    own = {sample.name for family in ExporterMetrics().registry.collect() for sample in family.samples}
    return {family.full_name for family in FAMILIES} | own | OF_PROMETHEUS


def asked(dashboard: Json) -> set[str]:
    """The names of all metrics in it."""
    expressions = [target["expr"] for _, target in targets(dashboard)]
    expressions += marks(dashboard).values()
    expressions += [label_values(each["query"])[0] for each in variables(dashboard, "query").values()]
    return {str(selector.name) for expression in expressions for selector in selectors(parsed(expression))}


@pytest.mark.parametrize("name", ALL)
def test_every_metric_exists(name: str) -> None:
    assert asked(ALL[name])
    assert asked(ALL[name]) - known_metrics() == set()


def test_every_metric_is_shown_somewhere() -> None:
    shown = set().union(*map(asked, ALL.values()))
    families = {family.full_name for family in FAMILIES}
    assert families - shown == set()


def test_every_kind_of_metric_has_its_suffix() -> None:
    """Else the names above would not be those that Prometheus sees."""
    assert all(family.full_name.endswith(SUFFIXES[family.kind]) for family in FAMILIES)


# ---------------------------------------------------------------- links


def urls(dashboard: Json) -> set[str]:
    return set(re.findall(r'"url": "([^"]+)"', json.dumps(dashboard)))


@pytest.mark.parametrize("name", ALL)
def test_links_between_dashboards_lead_somewhere(name: str) -> None:
    paths = {urlsplit(url).path for url in urls(ALL[name]) if url.startswith("/")}
    assert paths <= {f"/d/{dashboard['uid']}" for dashboard in ALL.values()}


@pytest.mark.parametrize("name", ALL)
def test_links_into_the_documentation_lead_to_a_page(name: str) -> None:
    pages = [url.partition("/blob/main/")[2] for url in urls(ALL[name]) if not url.startswith("/")]
    assert [
        page for page in pages if not (Path(page).suffix == ".md" and (FOLDER.parent.parent / page).is_file())
    ] == []


@pytest.mark.parametrize("name", ALL)
def test_the_dashboards_list_one_another(name: str) -> None:
    (link,) = ALL[name]["links"]
    assert [name for name, dashboard in ALL.items() if set(link["tags"]) <= set(dashboard["tags"])] == list(ALL)


def test_missing_variable_is_noticed() -> None:
    """The values that queries are tried with are all that the dashboards have, and Grafana's own."""
    with pytest.raises(KeyError, match="elsewhere"):
        filled("$job ${elsewhere:queryparam}", VALUES)


# ---------------------------------------------------------------- provisioning


def test_provisioned_data_source_is_of_the_kind_that_the_dashboards_ask_for() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]
    kinds = {variables(dashboard, "datasource")["datasource"]["query"] for dashboard in ALL.values()}
    assert {source["type"]} == kinds


def test_provisioned_dashboards_are_read_from_files() -> None:
    """And cannot be changed or deleted in the browser, as the next release would bring them back."""
    whole = yaml.safe_load((PROVISIONING / "dashboards/matrix-federation.yml").read_text())
    (provider,) = whole["providers"]
    assert whole["apiVersion"] == 1
    assert {key: provider[key] for key in ("type", "allowUiUpdates", "disableDeletion", "options")} == {
        "type": "file",
        "allowUiUpdates": False,
        "disableDeletion": True,
        "options": {"path": "/var/lib/grafana/dashboards/matrix-federation"},
    }


def test_overview_links_to_dashboards_and_to_the_documentation() -> None:
    """The tests of links find links of both kinds."""
    assert {url.startswith("/") for url in urls(ALL["overview.json"])} == {True, False}
