"""Both directions on three real Synapses: whatever keeps one of them from others is named, with all else green."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.judging.warnings import WarningName
from exporter.model.reasons import Reason
from tests.e2e.breaks import IPV6_BREAK
from tests.e2e.three_synapses import HEALTHY, NETWORK, SERVERS
from tests.namespaces import run_python_apart
from tests.programs import program

SECONDS: Final = 1200  # two minutes on an idle machine
EXPECTED: Final = {
    "a firewall drops outgoing connections": ("srv.test", Reason.OUTBOUND_UNREACHABLE),
    "its resolver is dead": ("wk.test", Reason.OUTBOUND_UNREACHABLE),
    "its clock is an hour ahead": ("plain.test", Reason.OUTBOUND_CLOCK),
    "its allow-list lacks the exporter": ("srv.test", Reason.FEDERATION_DENIED),
    "a proxy strips Authorization": ("wk.test", Reason.AUTHORIZATION_STRIPPED),
    "a proxy decodes paths": ("wk.test", Reason.SIGNATURE_REJECTED),
    "a notary masks a firewall": ("plain.test", Reason.OUTBOUND_UNREACHABLE),
}
ALL_HEALTHY: Final[dict[str, Any]] = dict.fromkeys(SERVERS, HEALTHY)


@pytest.mark.synapse
@pytest.mark.system("nginx")
@pytest.mark.system("faketime")
@pytest.mark.timeout(SECONDS)
def test_what_keeps_a_synapse_from_others_is_named_with_the_first_look(tmp_path: Path) -> None:
    """Exactly the stage `outbound` of exactly that server fails, and passes with the first look after the repair.

    If IPv6 alone is dropped, that is a warning.
    """
    for each in ("nginx", "faketime"):
        program(each)
    results = tmp_path / "results.json"
    code = "import pathlib; from tests.e2e import breaks; breaks.main(pathlib.Path({!r}), pathlib.Path({!r}))"
    run_python_apart(code.format(str(tmp_path), str(results)), NETWORK)
    expected = {
        name: {
            "broken": ALL_HEALTHY | {server: HEALTHY | {"outbound": 0.0, "failures": [["outbound", reason]]}},
            "repaired": ALL_HEALTHY,
        }
        for name, (server, reason) in EXPECTED.items()
    }
    warned = HEALTHY | {"warnings": [WarningName.OUTBOUND_IPV6_BROKEN]}
    expected[IPV6_BREAK] = {"broken": ALL_HEALTHY | {"srv.test": warned}, "repaired": ALL_HEALTHY}
    assert json.loads(results.read_text()) == expected
