import pytest

from soft_flow_franka_bringup.arm_errors import flag_names, in_words, mode_in_words


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ("[]", ()),
        ('["joint_reflex"]', ("joint_reflex",)),
        ('["joint_reflex", "power_limit_violation"]', ("joint_reflex", "power_limit_violation")),
    ],
)
def test_libfrankas_flags_become_names(flags: str, names: tuple[str, ...]) -> None:
    assert flag_names(flags) == names


def test_a_known_error_comes_with_what_it_means_and_an_unknown_one_in_plain_words() -> None:
    text = in_words(["cartesian_reflex", "elbow_sign_inconsistent"])
    assert "cartesian reflex (a collision" in text and "elbow sign inconsistent" in text
    assert in_words([]) == ""


def test_a_mode_in_which_the_arm_takes_commands_has_no_words() -> None:
    assert mode_in_words("Idle") == mode_in_words("Move") == ""
    assert "user stop" in mode_in_words("UserStopped")
