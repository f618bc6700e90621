"""What a task file may say, and what the hash of its layout stands for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soft_flow_contract.errors import SpecificationError, SpecificationMismatch
from soft_flow_contract.task_specification import TaskSpecification

Change = Callable[..., dict[str, Any]]


def make(data: dict[str, Any]) -> TaskSpecification:
    return TaskSpecification.from_mapping(data, "task.yaml")


# Refusals


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        (("rate_hs",), "rate_hz"),
        (("timing", "command_fase"), "command_phase"),
        (("action", "arm", "translation_scales"), "translation_scale"),
        (("action", "hand", 3, "hihg"), "high"),
        (("observation", "cameras", 1, "widht"), "width"),
        (("observation", "proprioception", 2, "units"), "unit"),
        (("limits", "max_hand_stp"), "max_hand_step"),
    ],
)
def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one(
    changed: Change, path: tuple[str | int, ...], nearest: str
) -> None:
    with pytest.raises(SpecificationError) as error:
        make(changed(*path, value=1.0))
    text = str(error.value)
    assert ".".join(map(str, path)) in text
    assert f"did you mean '{nearest}'?" in text


def test_an_unknown_key_that_resembles_none_lists_those_there_are(changed: Change) -> None:
    with pytest.raises(SpecificationError, match="known keys: length, executed"):
        make(changed("chunk", "zzzz", value=1))


@pytest.mark.parametrize(
    "path", [("task",), ("rate_hz",), ("action", "arm"), ("limits", "max_rotation"), ("episode", "flags")]
)
def test_a_missing_key_is_refused_by_name(changed: Change, path: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError, match=".".join(path)):
        make(changed(*path, remove=True))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rate_hz",), 0.0),
        (("rate_hz",), -20.0),
        (("rate_hz",), 30.0),  # a third of a nanosecond
        (("rate_hz",), float("nan")),
        (("rate_hz",), float("inf")),
        (("rate_hz",), "fast"),
        (("action", "hand", 0, "low"), 1.0),
        (("action", "hand", 0, "high"), float("nan")),
        (("action", "arm", "translation_scale"), 0.0),
        (("observation", "proprioception", 0, "low"), 9.0),
        (("observation", "cameras", 0, "width"), 0),
        (("observation", "cameras", 0, "encoding"), "bgr8"),
        (("observation", "cameras", 1, "name"), "wrist_palm"),
        (("observation", "proprioception", 0, "components"), "foot"),
        (("chunk", "executed"), 17),
        (("chunk", "length"), 0),
        (("episode", "max_steps"), 0),
        (("episode", "success_flag"), "won"),
        (("timing", "command_phase"), 0.05),
        (("timing", "missed_limit"), 0),
        (("limits", "workspace_low"), [0.9, -0.6, 0.0]),
        (("limits", "workspace_low"), [0.2, -0.6]),
        (("limits", "max_translation"), -0.1),
    ],
)
def test_a_value_out_of_range_is_refused(changed: Change, path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(SpecificationError, match=r"^task\.yaml: "):
        make(changed(*path, value=value))


def test_every_problem_gets_a_line_of_its_own(changed: Change) -> None:
    data = changed("rate_hz", value=-1.0)
    data["chunk"]["extra"] = 1
    with pytest.raises(SpecificationError) as error:
        make(data)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read"),
        ("a: [1", "not valid YAML"),
        ("- 1\n", "expected a mapping"),
        ("", "expected a mapping"),
    ],
)
def test_a_file_that_is_no_task_is_refused_by_path(
    tmp_path: Path, content: str | None, expected: str
) -> None:
    path = tmp_path / "task.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SpecificationError, match=expected) as error:
        TaskSpecification.load(path)
    assert str(path) in str(error.value)


def test_text_that_is_no_specification_is_refused_with_its_source() -> None:
    with pytest.raises(SpecificationError, match="bag 7: the task specification is not valid JSON"):
        TaskSpecification.from_json("{", "bag 7")


# Hash


def test_the_hash_survives_json_and_the_order_of_keys(
    specification: TaskSpecification, changed: Change
) -> None:
    again = TaskSpecification.from_json(specification.canonical_json(), "text")
    reordered = make(dict(reversed(changed().items())))
    assert specification.hash == again.hash == reordered.hash
    assert again == specification
    assert len(specification.hash) == 64


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("chunk", "executed"), 4),
        (("episode", "max_steps"), 9),
        (("timing", "missed_limit"), 3),
        (("limits", "max_translation"), 0.01),
    ],
)
def test_chunk_length_episode_timing_and_limits_do_not_make_data_foreign(
    specification: TaskSpecification, changed: Change, path: tuple[str | int, ...], value: Any
) -> None:
    other = make(changed(*path, value=value))
    assert other.hash == specification.hash
    specification.require_same_layout(other, "bag")


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("task",), "cube", "task"),
        (("rate_hz",), 25.0, "rate_hz"),
        (("action", "arm", "rotation_scale"), 0.2, "action.arm.rotation_scale"),
        (("action", "hand", 4, "name"), "thumb_ip", "action.hand[4].name"),
        (("action", "hand", 4, "high"), 2.0, "action.hand[4].high"),
        (("observation", "cameras", 2, "width"), 96, "observation.cameras[2].width"),
        (("observation", "proprioception", 1, "unit"), "deg/s", "observation.proprioception[1].unit"),
    ],
)
def test_another_layout_has_another_hash_and_the_first_differing_field_is_named(
    specification: TaskSpecification, changed: Change, path: tuple[str | int, ...], value: Any, place: str
) -> None:
    other = make(changed(*path, value=value))
    assert other.hash != specification.hash
    with pytest.raises(SpecificationMismatch) as error:
        specification.require_same_layout(other, "checkpoint x")
    text = str(error.value)
    assert text.startswith("checkpoint x: ") and f"'{place}'" in text and repr(value) in text


def test_one_camera_less_is_a_mismatch_of_the_number_of_cameras(
    specification: TaskSpecification, changed: Change
) -> None:
    data = changed()
    data["observation"]["cameras"].pop()
    with pytest.raises(SpecificationMismatch, match=r"observation.cameras \(length\)': expected 3, got 2"):
        specification.require_same_layout(make(data), "bag")


def test_a_specification_cannot_be_changed(specification: TaskSpecification) -> None:
    with pytest.raises(Exception, match="frozen"):
        specification.rate_hz = 1.0  # type: ignore[misc]


# Layout


def test_ticks_are_whole_nanoseconds(specification: TaskSpecification) -> None:
    assert (specification.dt_ns, specification.phase_ns) == (50_000_000, 25_000_000)


def test_the_proprioception_fields_lie_side_by_side(specification: TaskSpecification) -> None:
    slices = list(specification.proprioception_slices.values())
    assert slices[0].start == 0 and slices[-1].stop == specification.proprioception_dimension == 89
    assert all(a.stop == b.start for a, b in zip(slices, slices[1:], strict=False))


def test_assembling_and_slicing_proprioception_are_inverse(specification: TaskSpecification) -> None:
    rng = np.random.default_rng(0)
    values = {
        name: rng.normal(size=part.stop - part.start).astype(np.float32)
        for name, part in specification.proprioception_slices.items()
    }
    vector = specification.assemble_proprioception(values)
    assert vector.dtype == np.float32
    for name, part in specification.proprioception_slices.items():
        np.testing.assert_array_equal(vector[part], values[name])


def test_assembling_refuses_a_missing_field_and_a_wrong_length(specification: TaskSpecification) -> None:
    values: dict[str, Any] = {
        name: np.zeros(part.stop - part.start) for name, part in specification.proprioception_slices.items()
    }
    with pytest.raises(ValueError):
        specification.assemble_proprioception({**values, "hand_target": np.zeros(16)})
    del values["hand_target"]
    with pytest.raises(KeyError, match="hand_target"):
        specification.assemble_proprioception(values)
