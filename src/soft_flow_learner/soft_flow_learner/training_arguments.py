"""The command line of training, and what a run is started with."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_learner.bag_reader import TRANSITIONS
from soft_flow_learner.errors import LearnerError, ResumeError
from soft_flow_learner.learner_config import LearnerConfig
from soft_flow_learner.run_folder import IMITATION, RunSettings
from soft_flow_learner.training.compute import DEVICES

STAGES = (IMITATION, "warmup", "offline")


def by_stage(option: str, text: str | None, number: type[int] | type[float]) -> dict[str, float]:
    """`N` (of imitation) or `STAGE=N,STAGE=N` as numbers by stage.

    Raises:
        LearnerError: something else, an unknown stage, or a number that is not positive.
    """
    values: dict[str, float] = {}
    for part in (text or "").split(",") if text is not None else ():
        name, _, value = part.rpartition("=")
        name = name or IMITATION
        if name not in STAGES:
            raise LearnerError(f"{option}: '{name}' is no stage: use one of {', '.join(STAGES)}")
        try:
            values[name] = number(value)
        except ValueError:
            raise LearnerError(f"{option}: expected a number or stage=number, got '{part}'") from None
        if not 0 < values[name] < float("inf"):
            raise LearnerError(f"{option}: expected a positive number, got {value}")
    return values


def chosen_stages(text: str | None) -> tuple[str, ...]:
    """The stages of a run, in order.

    Raises:
        LearnerError: an unknown one, or another order.
    """
    names = tuple((text or IMITATION).split(","))
    if not set(names) <= set(STAGES) or list(names) != sorted(set(names), key=STAGES.index):
        raise LearnerError(f"--stages: expected some of {','.join(STAGES)} in this order, got '{text}'")
    return names


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="soft-flow train", description=__doc__)
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the run")
    add("--bags", type=Path, nargs="+", metavar="DIR", help="bags, or folders that hold bags")
    add("--task", type=Path, metavar="FILE", help="task specification (YAML)")
    add("--config", type=Path, metavar="FILE", help="learner configuration (YAML); default: built in")
    add("--stages", metavar="S,S", help="imitation,warmup,offline (default: imitation)")
    add("--policy", type=Path, metavar="DIR", help="checkpoint that warmup or offline begin with")
    length = parser.add_mutually_exclusive_group()
    wanted = "updates of imitation, or of stages: warmup=1000,offline=5000"
    length.add_argument("--updates", metavar="N", help=wanted)
    wanted = "minutes of imitation, or of stages: imitation=5,warmup=1,offline=4"
    length.add_argument("--minutes", metavar="M", help=wanted)
    add("--batch", type=int, metavar="N", help="chunks an update (instead of the configuration's)")
    add("--seed", type=int, help="of weights, order and noise (default 0)")
    add("--no-images", action="store_true", help="train a policy that sees no images, as a control")
    add("--success-flag", metavar="NAME", help="train on episodes that reached this stage (default: success)")
    add("--all-episodes", action="store_true", help="train on failures too")
    add("--topic", help=f"transitions topic in the bags (default: {TRANSITIONS})")
    add("--strict", action="store_true", help="stop at the first bag or episode that cannot be used")
    add("--threads", type=int, help="threads of PyTorch and of image decoding (default 2)")
    wanted = "auto (a GPU when there is one), cpu, cuda; torchrun gives each process its own (default auto)"
    add("--device", choices=DEVICES, default="auto", help=wanted)
    add("--resume", action="store_true", help="continue the run in --output, with its settings")
    return parser.parse_args(arguments)


def settings_from_arguments(arguments: argparse.Namespace) -> tuple[RunSettings, TaskSpecification]:
    """Settings of a new run.

    Raises:
        ContractError: a file cannot be read or has an unknown key.
        LearnerError: an argument is missing or out of its range.
    """
    if arguments.bags is None or arguments.task is None:
        raise LearnerError("--bags and --task are needed to begin a run (or --resume to continue one)")
    specification = TaskSpecification.load(arguments.task)
    data = LearnerConfig.load(arguments.config) if arguments.config else LearnerConfig()
    if arguments.batch is not None:
        imitation = data.imitation.model_copy(update={"batch": arguments.batch})
        data = data.model_copy(update={"imitation": imitation})
    if arguments.no_images:
        data = data.model_copy(update={"policy": data.policy.model_copy(update={"cameras": ()})})
    for name in ("batch", "threads"):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            raise LearnerError(f"--{name}: expected a positive number, got {value}")
    stages = chosen_stages(arguments.stages)
    if (arguments.policy is None) == (IMITATION not in stages):
        raise LearnerError("--policy: is needed by --stages without imitation, and by no others")
    flag = None if arguments.all_episodes else arguments.success_flag or "success"
    settings = RunSettings(
        specification=specification.model_dump(mode="json"),
        config=data,
        bags=tuple(str(path.absolute()) for path in arguments.bags),
        topic=arguments.topic or TRANSITIONS,
        flag=flag,
        seed=arguments.seed or 0,
        threads=arguments.threads or 2,
        stages=stages,
        policy=str(arguments.policy.absolute()) if arguments.policy else None,
        updates={name: int(n) for name, n in by_stage("--updates", arguments.updates, int).items()},
        minutes=by_stage("--minutes", arguments.minutes, float),
    )
    return settings, specification


def require_plain_resume(arguments: argparse.Namespace) -> None:
    """Refuse arguments that a resumed run would not honour.

    Raises:
        ResumeError: naming the first of them.
    """
    for name in (
        "bags",
        "task",
        "config",
        "stages",
        "policy",
        "updates",
        "minutes",
        "batch",
        "seed",
        "success_flag",
        "topic",
        "threads",
    ):
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ResumeError(f"{option}: a resumed run keeps its settings; leave it out, or begin a new run")
