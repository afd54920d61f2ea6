"""Building a zoo of one policy, turned: contexts that are one task seen in different frames."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experts.jobs import BuildProgress, check_kept, manifest_path
from experts.legacies import Legacies
from experts.offpolicy import CheckpointSchedule, Saving
from experts.offpolicy.checkpoints import checkpoint_path, load_checkpoints, save_checkpoints
from experts.offpolicy.turned import train_turned, turn, turning
from experts.recipes import Recipe
from experts.store import expert_name, load_expert, read_manifest, save_expert
from experts.training import evaluated
from experts.validation import require
from param_envs import Context, Family

STATE = ".turned.safetensors"
"""The training's state, within the experts' folder; hidden, and gone when all experts are there."""
STAGED = ".turned-checkpoints"
"""Beside it, the policies along the training in the one frame; gone when they are turned."""
SAVE_MINUTES = 5.0
TRAINED = "turned"
AS_IT_IS = "turned_as_it_is"
"""Entries of the manifests of what this module writes."""
WORDS = {TRAINED: "trained in turned frames", AS_IT_IS: "turned as it is"}


def build_turned(
    family: Family,
    contexts: Sequence[Context],
    *,
    home: Mapping[str, float],
    zoo: Path,
    reward: str,
    recipe: Recipe,
    directory: Path,
    leaves: Sequence[Context] = (),
    checkpoints: CheckpointSchedule | None = None,
    relabelled: bool = False,
    seed: int = 0,
    on_progress: Callable[[BuildProgress], None] | None = None,
) -> None:
    """Trains one policy for all contexts, and writes the experts that `directory` does not have.

    Killed and called again, it goes on from the last saved state. The experts that are there must
    be of such a training, from the same home and in the same contexts; else it would be two zoos.

    Args:
        family: the family; its `frames` turn the contexts.
        contexts: one expert each.
        home: the context in whose frame all are seen.
        zoo: folder that has the expert of `home` to start from. What that one's training left is
            taken on, where it is there.
        reward: meaning of the reward.
        recipe: of algorithm `sac` or `td3`; see `train_turned`.
        directory: where experts are written.
        leaves: contexts that are not trained in: those that are always held out.
        checkpoints: which policies along the training are kept, each turned for every context;
            steps count over all environments. A folder that has all experts gets none.
        relabelled: see `train_turned`.
        seed: of everything.
        on_progress: called now and then.

    Raises:
        ValueError: if `zoo` has no expert of `home`, checkpoints begin after the training or are
            asked for when it has ended, experts there are of another family, reward or
            discount, were turned as they are, from another home or otherwise trained, or as in
            `train_turned`.
        FloatingPointError: if the policy's weights are no longer finite.
        OSError: if the disk is full or the folder cannot be written.
    """
    known = family.context(**home)
    family.frames(contexts, known)  # says what is wrong before anything is read
    origin = _start(zoo, known)
    if checkpoints is not None:
        last = recipe.warm_steps
        require("checkpoint_from", checkpoints.start, checkpoints.start <= last, f"at most {last}")
    check_kept(directory, family, contexts, reward=reward, recipe=recipe)
    trained = [context for context in contexts if context not in leaves]
    told = {"relabelled": None, **turning(known, trained, relabelled=relabelled)}
    _check_turned(directory, family, contexts, reward=reward, how=TRAINED, told=told)
    began = time.perf_counter()

    def missing() -> list[Context]:
        return [context for context in contexts if not manifest_path(directory, context).exists()]

    def report(steps: int) -> None:
        if on_progress is not None:
            on_progress(
                BuildProgress(
                    finished=len(contexts) - len(missing()),
                    failed=0,
                    total=len(contexts),
                    steps_done=steps,
                    steps_total=recipe.warm_steps,
                    seconds=time.perf_counter() - began,
                    running=(expert_name(known),),
                )
            )

    state, staged = directory / STATE, directory / STAGED
    if missing():
        experts = train_turned(
            family,
            contexts,
            load_expert(origin),
            reward=reward,
            recipe=recipe,
            leaves=leaves,
            legacy=Legacies(directory, {known: origin}).of(known),
            relabelled=relabelled,
            seed=seed,
            checkpoints=None if checkpoints is None else replace(checkpoints, directory=staged),
            saving=Saving(path=state, minutes=SAVE_MINUTES),
            on_steps=report,
        )
        kept = checkpoint_path(staged, known)
        if checkpoints is not None and kept.exists():
            turn_checkpoints(kept, family, contexts, checkpoints.directory)
        awaited = [manifest_path(directory, context) for context in missing()]
        for expert in experts:
            if manifest_path(directory, expert.context) in awaited:
                save_expert(evaluated(expert), directory)
                report(recipe.warm_steps)
        if checkpoints is not None and not kept.exists():
            raise ValueError(
                f"`checkpoints` must be asked for before a training ends, that of {directory} kept "
                "no policy; its experts are written"
            )
    state.unlink(missing_ok=True)
    shutil.rmtree(staged, ignore_errors=True)
    report(recipe.warm_steps)


def turn_as_it_is(
    family: Family,
    contexts: Sequence[Context],
    *,
    home: Mapping[str, float],
    zoo: Path,
    reward: str,
    directory: Path,
    seam: float | None = None,
) -> int:
    """Writes the experts that `directory` does not have: that of `home`, turned, without training.

    Those that it has must be the same expert, turned the same way; else it would be two zoos.

    Args:
        family: the family; its `frames` turn the contexts.
        contexts: one expert each.
        home: the context in whose frame all are seen, of the family, on no grid necessarily.
        zoo: folder that has the expert of `home`.
        reward: meaning of the reward, with which experts are evaluated.
        directory: where experts are written.
        seam: see `Family.frames`; some context must be beyond it.

    Returns:
        How many it wrote.

    Raises:
        ValueError: if `zoo` has no expert of `home`, the family cannot turn the contexts, no
            context is beyond `seam`, or experts there are of another family, reward or context,
            were turned from another expert, at another seam, or not as they are.
        OSError: if the disk is full or the folder cannot be written.
    """
    known = family.context(**home)
    family.frames(contexts, known)  # says what is wrong before anything is read
    if seam is not None:
        _check_seam(family, contexts, seam)
    expert = load_expert(_start(zoo, known))
    told = {"home": expert_name(known), "seam": seam, "home_sha256": expert.record["sha256"]}
    _check_turned(directory, family, contexts, reward=reward, how=AS_IT_IS, told=told)
    written = 0
    frames = family.frames(contexts, known, seam=seam)
    for frame, context in zip(frames, contexts, strict=True):
        if manifest_path(directory, context).exists():
            continue
        found = turn(expert, frame, context)
        record = {**found.record, "reward": reward, AS_IT_IS: told}
        save_expert(evaluated(replace(found, record=record)), directory)
        written += 1
    return written


def _check_seam(family: Family, contexts: Sequence[Context], seam: float) -> None:
    """A seam must be in the range of what is turned, and below the largest of the contexts."""
    turned = next(feature for feature in family.features if feature.encoding == "angle")
    largest = max(context[turned.name] for context in contexts)
    allowed = f"in [{turned.low:g}, {largest:g}), with a `{turned.name}` beyond it"
    require("seam", seam, turned.low <= seam < largest, allowed)


def _check_turned(
    directory: Path,
    family: Family,
    contexts: Sequence[Context],
    *,
    reward: str,
    how: str,
    told: Mapping[str, Any],
) -> None:
    """Experts that are kept must be such as would be written.

    Args:
        directory: of the experts.
        family: of the experts.
        contexts: one expert each, where it is there.
        reward: meaning of the reward.
        how: `TRAINED` or `AS_IT_IS`.
        told: what their manifests must tell of it; None for what they must not have.

    Raises:
        ValueError: naming the file, what differs, and what is asked for.
    """
    for context in contexts:
        path = manifest_path(directory, context)
        if not path.exists():
            continue
        record = read_manifest(path)
        # What is turned as it is may have come of a turned training: then it tells of both.
        was = next((name for name in (AS_IT_IS, TRAINED) if name in record), None)
        if was != how:
            raise ValueError(f"{path} was not {WORDS[how]}: turn into another folder")
        kept = record[how]
        for name, has, needs in (
            ("family", record["env_id"], family.env_id),
            ("reward", record["reward"], reward),
            ("context", record["context"], dict(context)),
            *((f"`{name}`", kept.get(name), needs) for name, needs in told.items()),
        ):
            if has != needs:
                raise ValueError(
                    f"{path} has the {name} {has}, asked for is {needs}: turn into another folder"
                )


def _start(zoo: Path, home: Context) -> Path:
    """The manifest of home's expert."""
    path = manifest_path(zoo, home)
    if not path.exists():
        raise ValueError(f"`zoo` must have {path}, it is absent")
    return path


def turn_checkpoints(
    path: Path, family: Family, contexts: Sequence[Context], directory: Path
) -> None:
    """Writes the policies of one context's file for each of several contexts, turned.

    Args:
        path: of the file.
        family: the family; its `frames` turn the contexts.
        contexts: that get a file each.
        directory: of these files.

    Raises:
        ValueError: naming a damaged file, or for contexts that the family cannot turn.
        OSError: if the disk is full or the folder cannot be written.
    """
    found = load_checkpoints(path)
    for frame, context in zip(
        family.frames(contexts, family.context(**found.record["context"])), contexts, strict=True
    ):
        policies = found.policies.behind(np.repeat(frame[None], len(found.steps), axis=0))
        record = {**found.record, "context": dict(context)}
        save_checkpoints(replace(found, policies=policies, record=record), directory)
