"""Substitutions mean what they mean under `ros2 launch`."""

from __future__ import annotations

from pathlib import Path

import pytest

from soft_flow_bringup.launch_substitution import Scope, SubstitutionError, is_true, substitute

SCOPE = Scope({"robot": "sim", "n": "3", "tricky": "$(var n) ) '"}, {"HOME": "/home/me"}, Path("/w/launch"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain text", "plain text"),
        ("a $(var robot) b", "a sim b"),
        ("$(dirname)/../config/$(var robot).yaml", "/w/launch/../config/sim.yaml"),
        ("$(env HOME)", "/home/me"),
        ("$(env MISSING fallback)", "fallback"),
        ("$(env MISSING '')", ""),
        ("$(env MISSING $(var robot))", "sim"),
        ("\\$(var robot)", "$(var robot)"),
        ("$(equals $(var robot) sim)", "true"),
        ("$(equals $(var robot) 'real robot')", "false"),
        ("$(not-equals $(var robot) sim)", "false"),
        ("$(equals 1.0 1)", "true"),
        ("$(equals True 1)", "true"),
        ("$(equals true false)", "false"),
        ("$(not true)", "false"),
        ("$(and true $(not false))", "true"),
        ("$(and true false)", "false"),
        ("$(or false true)", "true"),
        ("$(or false false)", "false"),
        ('$(equals "$(var robot)" "sim")', "true"),
        ("$(eval \"'$(var robot)' == 'sim' and $(var n) > 2\")", "True"),
        ("$(eval '2 * $(var n) + 1')", "7"),
        ("$(eval '$(var n) in [1, 3]')", "True"),
    ],
)
def test_a_substitution_gives_its_value(text: str, value: str) -> None:
    assert substitute(text, SCOPE) == value


def test_a_value_is_not_substituted_again() -> None:
    assert substitute("$(var tricky)", SCOPE) == "$(var n) ) '"


@pytest.mark.parametrize("text", ["$(eval '__import__(1)')", "$(eval 'x')", "$(eval '[i for i in (1,)]')"])
def test_eval_runs_no_names_and_no_calls(text: str) -> None:
    with pytest.raises(SubstitutionError, match="literals, arithmetic and comparisons"):
        substitute(text, SCOPE)


@pytest.mark.parametrize("text", ["$()", "$(var robot", "$(equals 'a b)", "$(eval '1 +')", "$(nothing)"])
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(SubstitutionError):
        substitute(text, SCOPE)


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), (" True ", True), ("1", True), ("0", False), ("FALSE", False)]
)
def test_the_truth_of_a_condition_is_one_of_four_words(text: str, truth: bool) -> None:
    assert is_true(text) is truth
