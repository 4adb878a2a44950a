"""The arithmetic behind the benchmarks' tables: medians, ratios, goals, and the JSON that scripts read."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[2] / "benchmarks" / "harness.py"


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    """The benchmarks are programs beside the packages, not a package: loaded from their file."""
    spec = importlib.util.spec_from_file_location("benchmark_harness", SOURCE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_ratio_above_one_is_better_whichever_way_the_unit_runs(harness):
    assert harness.ratio(300, 200, "higher") == 1.5
    assert harness.ratio(0.2, 0.5, "lower") == 2.5
    assert harness.ratio(200, 300, "higher") == pytest.approx(2 / 3)


def test_a_ratio_is_missing_where_it_would_have_no_end_or_no_peer(harness):
    assert harness.ratio(0, 400, "lower") is None
    assert harness.ratio(5, None, "lower") is None
    assert harness.ratio(0, 0, "lower") == 1.0


def test_a_row_takes_medians_not_means(harness):
    row = harness.compare("speed", [1, 100, 3], [2, 2, 50], "peer", unit="x/s", better="higher")
    assert (row.ours, row.peer, row.ratio) == (3, 2, 1.5)
    assert (row.goal, row.met) == ("", None)


@pytest.mark.parametrize(
    ("ours", "peer", "better", "ratio", "limit", "met"),
    [
        (110, 100, "higher", 1.1, None, True),
        (109, 100, "higher", 1.1, None, False),
        (0.29, 0.2, "lower", 0.5, 0.3, True),
        (0.31, 0.2, "lower", 0.5, 0.3, False),  # near enough to the peer, but over the limit
        (0.29, 0.1, "lower", 0.5, 0.3, False),  # under the limit, but three times the peer
        (96, 0, "higher", None, 95, True),
        (0, 400, "lower", 2, None, True),  # endlessly better
    ],
)
def test_a_goal_is_met_when_all_of_it_holds(harness, ours, peer, better, ratio, limit, met):
    row = harness.compare("x", [ours], [peer], unit="u", better=better, goal=harness.Goal(ratio=ratio, limit=limit))
    assert row.met is met


def test_a_goal_beside_a_peer_that_could_not_run_is_neither_met_nor_missed(harness):
    row = harness.compare("x", [1], [], "peer (no compiler)", unit="s", better="lower", goal=harness.Goal(ratio=1))
    assert (row.peer, row.ratio, row.met) == (None, None, None)


def test_a_limit_that_is_broken_is_missed_even_without_a_peer(harness):
    row = harness.compare("x", [2], [], "gone", unit="s", better="lower", goal=harness.Goal(ratio=1, limit=1))
    assert row.met is False


def test_goals_are_written_out(harness):
    assert harness.Goal(ratio=0.5, limit=0.3).text("lower") == "<= 0.3, ratio >= 0.5"
    assert harness.Goal(limit=95).text("higher") == ">= 95"


def test_subjects_run_in_turn_and_every_second_round_backwards(harness):
    order = []
    subjects = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    results = harness.in_turn(3, subjects)
    assert "".join(order) == "abccbaabc"
    assert results == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}


def test_json_has_the_keys_that_scripts_read_and_nothing_that_json_lacks(harness, capsys):
    rows = [
        harness.compare("rest", [0.0], [400.0], "posting", unit="B/s", better="lower", goal=harness.Goal(limit=0)),
        harness.compare("gone", [], [], "elia: will not start", unit="s", better="lower"),
    ]
    harness.show("title", rows, as_json=True)
    first, second = json.loads(capsys.readouterr().out)
    assert list(first) == ["name", "ours", "peer", "peer_name", "unit", "ratio", "goal", "met"]
    assert first["ratio"] is None and first["met"] is True
    assert second["ours"] is None and second["peer_name"] == "elia: will not start"


def test_the_table_shows_every_row_and_takes_names_as_plain_text(harness, capsys):
    rows = [
        harness.compare("[bold]odd[/] name", [0.0], [400.0], "posting", unit="B/s", better="lower"),
        harness.compare("decode", [300], [200], "llama.cpp", unit="t/s", better="higher", goal=harness.Goal(ratio=2)),
    ]
    harness.show("title", rows, as_json=False)
    shown = capsys.readouterr().out
    assert "[bold]odd[/] name" in shown and "without end" in shown
    assert "1.50" in shown and "NO" in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (12345.6, "12,346"), (45.67, "45.7"), (1.234, "1.23"), (0.1234, "0.123"), (0.00123, "0.0012")],
)
def test_figures_keep_what_can_be_read(harness, value, text):
    assert harness.figure(value) == text


def test_options_have_fewer_rounds_when_quick_unless_told(harness):
    def rounds(*arguments):
        return harness.parse_options("x", rounds=5, quick_rounds=2, arguments=arguments).rounds

    assert (rounds(), rounds("--quick"), rounds("--quick", "--rounds", "7")) == (5, 2, 7)
    with pytest.raises(SystemExit):
        rounds("--rounds", "-1")
