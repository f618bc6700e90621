"""Checkpoints: a folder of tensors, perhaps a critic's graph, and a manifest that vouches for every byte."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import safetensors
import safetensors.torch
from pydantic import Field, ValidationError
from torch import Tensor

from soft_flow_contract.durable_files import sync_folder, write_durably
from soft_flow_contract.errors import ContractError, SpecificationError
from soft_flow_contract.strict_model import StrictModel, describe
from soft_flow_contract.task_specification import TaskSpecification
from soft_flow_policy.critic_graph import CriticGraphError, read_critic_graph
from soft_flow_policy.policy import FlowPolicy
from soft_flow_policy.policy_config import FlowPolicyConfig
from soft_flow_policy.weights import find_misfit, pack_weights

MANIFEST = "manifest.json"
POLICY_FILE = "policy.safetensors"
CRITIC_FILE = "critic.onnx"
FORMAT = 1


class CheckpointError(ContractError):
    """A checkpoint cannot be used; the message names the file or field."""


class FileRecord(StrictModel):
    """What the manifest knows of a file."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]  # bytes


class Manifest(StrictModel):
    """Content of `manifest.json`."""

    format: int  # of the manifest itself
    version: Annotated[int, Field(ge=0)]  # policy version, rising with training
    step: Annotated[int, Field(ge=0)]  # updates
    stage: str  # imitation, ...
    policy: FlowPolicyConfig
    specification: dict[str, Any]  # the whole task specification
    specification_hash: str
    files: dict[str, FileRecord]
    extra: dict[str, Any] = {}  # JSON that the writer keeps here, such as the cursor of ingested bags


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: every file has the manifest's hash."""

    path: Path
    manifest: Manifest
    specification: TaskSpecification

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Tensors of a file such as `optimizer.safetensors`.

        Raises:
            CheckpointError: the checkpoint has no such file, or it cannot be parsed.
        """
        if name not in self.manifest.files:
            raise CheckpointError(f"{self.path}: has no file '{name}'; it has {sorted(self.manifest.files)}")
        try:
            return safetensors.torch.load_file(self.path / name)
        except safetensors.SafetensorError as error:
            raise CheckpointError(f"{self.path / name}: is not a safetensors file: {error}") from error

    def critic(self) -> bytes | None:
        """The critic's graph, already checked (see `critic_graph`); None if the checkpoint has none."""
        if CRITIC_FILE not in self.manifest.files:
            return None
        return (self.path / CRITIC_FILE).read_bytes()

    def policy(self) -> FlowPolicy:
        """The policy with its weights, in evaluation mode.

        Raises:
            CheckpointError: the weights do not fit the configuration; names the first tensor that does not.
        """
        policy = FlowPolicy(self.manifest.policy, self.specification)
        load_state(policy, self.tensors(POLICY_FILE), str(self.path / POLICY_FILE))
        return policy.eval()


def load_state(policy: FlowPolicy, state: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a policy after checking names, shapes, types and finiteness.

    Raises:
        CheckpointError: naming the first tensor that does not fit.
    """
    misfit = find_misfit(state, policy.state_dict())
    if misfit is not None:
        raise CheckpointError(f"{source}: {misfit}")
    policy.load_state_dict(dict(state))


def _contents(
    policy: FlowPolicy, files: Mapping[str, Mapping[str, Tensor]], critic: bytes | None
) -> dict[str, bytes]:
    """What the files of a checkpoint hold; arguments and errors as of `save_checkpoint`."""
    contents = {POLICY_FILE: pack_weights(policy)}
    for name, tensors in files.items():
        if not name.endswith(".safetensors") or name in contents or "/" in name:
            raise ValueError(f"file '{name}': expected a new name ending in .safetensors")
        contents[name] = safetensors.torch.save({k: t.detach().contiguous() for k, t in tensors.items()})
    if critic is not None:
        read_critic_graph(critic, policy.specification)
        contents[CRITIC_FILE] = critic
    return contents


def save_checkpoint(
    path: str | Path,
    policy: FlowPolicy,
    *,
    version: int,
    step: int,
    stage: str,
    files: Mapping[str, Mapping[str, Tensor]] | None = None,
    critic: bytes | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint to the folder `path`, whole or not at all; an existing checkpoint there is replaced.

    Args:
        path: folder of the checkpoint.
        policy: its weights and normalizers go to `policy.safetensors`.
        version: policy version.
        step: number of updates.
        stage: of training.
        files: further files, name ending in `.safetensors` -> tensors.
        critic: ONNX graph that compares chunks, see `critic_graph`; goes to `critic.onnx`.
        extra: JSON values to keep in the manifest; 'run_id' names the training run, see `WeightsRecord`.

    Raises:
        ValueError: a file name that is taken or has another ending.
        CriticGraphError: the critic does not fit the task.
    """
    path = Path(path).absolute()
    contents = _contents(policy, files or {}, critic)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, data in contents.items():
            write_durably(folder / name, data)
        records = {
            name: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for name, data in contents.items()
        }
        manifest = Manifest(
            format=FORMAT,
            version=version,
            step=step,
            stage=stage,
            policy=policy.config,
            specification=json.loads(policy.specification.canonical_json()),
            specification_hash=policy.specification.hash,
            files=records,
            extra=dict(extra or {}),
        )
        write_durably(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
        folder.chmod(0o755)
        replace_folder(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return path


def replace_folder(folder: Path, path: Path) -> None:
    """Rename `folder` to `path`; an older checkpoint there is moved aside first and then deleted."""
    aside = folder.with_name(folder.name + ".old")
    if path.exists():
        path.rename(aside)
    folder.rename(path)
    sync_folder(path.parent)
    if aside.exists():
        shutil.rmtree(aside)


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(
            f"{file}: cannot be read ({error.strerror}); expected a checkpoint folder, written to its end"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{file}: is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got {type(data).__name__}")
    if data.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: format: expected {FORMAT}, got {data.get('format')!r}; use a matching release"
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise CheckpointError(describe(error, Manifest, str(file))) from error


def _verify_files(path: Path, manifest: Manifest) -> None:
    if POLICY_FILE not in manifest.files:
        raise CheckpointError(f"{path / MANIFEST}: files: '{POLICY_FILE}' is missing")
    for name, record in manifest.files.items():
        file = path / name
        if Path(name).name != name or not (name.endswith(".safetensors") or name == CRITIC_FILE):
            raise CheckpointError(
                f"{path / MANIFEST}: files: '{name}' is neither the name of a safetensors file "
                f"nor '{CRITIC_FILE}'"
            )
        if not file.is_file():
            raise CheckpointError(f"{file}: is missing; the checkpoint is not complete, copy it again")
        if file.stat().st_size != record.size:
            raise CheckpointError(
                f"{file}: expected {record.size} bytes, got {file.stat().st_size}; "
                "it is truncated or changed, copy it again"
            )
        if hashlib.sha256(file.read_bytes()).hexdigest() != record.sha256:
            raise CheckpointError(f"{file}: its SHA-256 is not the manifest's; it is corrupt, copy it again")


def open_checkpoint(path: str | Path, specification: TaskSpecification | None = None) -> Checkpoint:
    """Verify a checkpoint: manifest, specification, and every file's size and hash.

    Args:
        path: its folder.
        specification: the running task's; None accepts any task.

    Raises:
        CheckpointError: it is partial, corrupt or of another format.
        SpecificationMismatch: it was made for another task, naming the first differing field.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    try:
        stored = TaskSpecification.from_mapping(manifest.specification, f"{path / MANIFEST}: specification")
    except SpecificationError as error:
        raise CheckpointError(str(error)) from error
    if stored.hash != manifest.specification_hash:
        raise CheckpointError(
            f"{path / MANIFEST}: specification_hash: expected {stored.hash} by its content, "
            f"got {manifest.specification_hash}"
        )
    if specification is not None:
        specification.require_same_layout(stored, str(path))
        if specification.chunk.length != stored.chunk.length:
            raise CheckpointError(
                f"{path}: chunk.length: the policy plans {stored.chunk.length} steps, "
                f"the task asks for {specification.chunk.length}"
            )
    _verify_files(path, manifest)
    if CRITIC_FILE in manifest.files:
        try:
            read_critic_graph((path / CRITIC_FILE).read_bytes(), stored)
        except CriticGraphError as error:
            raise CheckpointError(f"{path / CRITIC_FILE}: {error}") from error
    return Checkpoint(path, manifest, stored)
