"""Encoders that learn from a teacher: what they imitate, what stays as the teacher has it, norms that follow
the batches at first, and the file that such a run leaves.

    kd_target=latent    the teacher's y
    kd_target=paper     the outputs of the four layers that halve the size (RS-LLIC's distillation; a uniform
                        elic's last one comes before its last attention block)"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.models.checkpoint import CheckpointInfo, load_checkpoint
from codec.models.encoders.files import bind, save_encoder
from codec.models.encoders.lsconv import folded_state, freeze, thaw
from codec.models.encoders.swap import swap_norms
from codec.models.model import LatentModel
from codec.models.storage import WEIGHTS_FOLDER, sha256_of
from codec.training.initialise import halving_layers, rescale_latents
from codec.training.warmstart import become_student, warm_start
from constellation.common.errors import UserError


@dataclass(frozen=True, eq=False)
class Lesson:
    """What an encoder should make of a batch: targets at `layers` of its g_a."""

    layers: tuple[nn.Module, ...]
    targets: tuple[Tensor, ...]
    weight: float

    def error(self, found: Sequence[Tensor]) -> Tensor:
        """The sum of mean squared errors, weighed."""
        pairs = zip(found, self.targets, strict=True)
        return self.weight * torch.stack([F.mse_loss(a.float(), b.float()) for a, b in pairs]).sum()


def staged(g_a: nn.Sequential, layers: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """(y, the outputs of `layers`) of pictures."""
    found = []
    for layer in g_a:
        x = layer(x)
        if any(layer is wanted for wanted in layers):
            found.append(x)
    return x, found


class Tutor:
    """A trained codec that an encoder learns from. kd: weight of the imitation. frozen: its entropy model and
    decoder stay as they are, so that the run leaves an encoder file. Raises `UserError` where the two do not
    fit."""

    def __init__(self, path: str, model: LatentModel, kd: float, target: str) -> None:
        self.path = Path(path)
        self.teacher, self.info = load_checkpoint(path)
        self.kd = kd
        shapes = [(part.n, part.m, part.stages, part.groups) for part in (model.widths, self.teacher.widths)]
        rest = [
            {key for key, _ in one.net.named_parameters() if not key.startswith("g_a.")}
            for one in (model, self.teacher)
        ]
        if rest[0] != rest[1]:
            raise UserError(
                f"teacher={self.path.name}: is {self.teacher.name}, whose entropy model and decoder are not "
                f"those of {model.name}; kd= and freeze= need the same"
            )
        if shapes[0] != shapes[1]:
            raise UserError(
                f"teacher={self.path.name}: has N, M, widths, groups {shapes[1]}, the new codec {shapes[0]}; "
                "kd= and freeze= need the same"
            )
        self.mine, self.theirs = (
            (one.g_a[-1],) if target == "latent" else tuple(halving_layers(one))
            for one in (model, self.teacher)
        )
        self.teacher.net.requires_grad_(False)

    @torch.no_grad()
    def lesson(self, x: Tensor) -> Lesson | None:
        """Of pictures; None where nothing is imitated."""
        if not self.kd:
            return None
        return Lesson(self.mine, tuple(staged(self.teacher.g_a, self.theirs, x)[1]), self.kd)

    def hand_over(self, model: LatentModel, encoder: bool = True) -> None:
        """Entropy model and decoder as the teacher has them, to stay so; of the encoder what fits, or
        nothing."""
        own = {key: value.clone() for key, value in model.g_a.state_dict().items()}
        become_student(model, self.teacher)
        if not encoder:
            model.g_a.load_state_dict(own)

    def keep_rest(self, model: LatentModel, lambda_: float) -> None:
        """Only g_a learns from here on. Raises `UserError` for a teacher that no encoder file can name."""
        if self.info.host is not None or self.info.lambda_ != lambda_:
            raise UserError(
                f"teacher={self.path.name}: freeze=true needs a whole codec of lambda {lambda_:g}, found "
                f"{'an encoder file' if self.info.host else f'lambda {self.info.lambda_:g}'}"
            )
        model.net.requires_grad_(False)
        model.g_a.requires_grad_(True)

    def save(self, out: Path, model: LatentModel, info: dict[str, str]) -> None:
        """The encoder file, and its host beside it where none ships. info: metadata. Raises `UserError`."""
        place_host(out, self.path, self.info)
        tensors = {key: value.detach().float().cpu() for key, value in folded_state(model.net).items()}
        save_encoder(out, model.name, model.widths, tensors, info)
        bind(out, self.path)


def place_host(out: Path, teacher: Path, info: CheckpointInfo) -> None:
    """The teacher's file where an encoder file at `out` finds it. Raises `UserError`."""
    name = f"{info.model}_lambda{info.lambda_:g}.safetensors"
    beside, shipped = out.parent / name, WEIGHTS_FOLDER / name
    if shipped.is_file() and sha256_of(shipped) == info.sha256 and not beside.is_file():
        return
    if not beside.is_file():
        shutil.copyfile(teacher, beside)
    elif sha256_of(beside) != info.sha256:
        raise UserError(f"out={out.name}: {name} beside it is another checkpoint than teacher={teacher.name}")


def begin_norms(model: LatentModel) -> None:
    """Norms whose statistics follow the batches, where the model's are to be frozen later."""
    if model.widths.norm == "frozen":
        thaw(model.net)


def go_on_with_another_norm(model: LatentModel, source: LatentModel, sample: Tensor, gain: float) -> int:
    """Start a codec from another of its family whose norm may be another; `frozen` begins by following the
    batches again. gain: factor on y. Returns how many tensors outside g_a were copied."""
    begin_norms(model)
    copied = warm_start(model, source, sample)
    swap_norms(model.g_a, source.g_a, sample)
    rescale_latents(model, gain)
    return copied


def set_norms(model: LatentModel, frozen: bool) -> None:
    """Before a step: statistics follow the batches, or stay."""
    model.g_a.train()
    if frozen:
        freeze(model.net)


@contextmanager
def as_flown(model: LatentModel) -> Iterator[None]:
    """Norms as they will fly, for as long as the block lasts."""
    training = model.g_a.training
    model.g_a.eval()
    try:
        yield
    finally:
        model.g_a.train(training)
