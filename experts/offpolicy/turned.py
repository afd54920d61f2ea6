"""One policy for contexts that are one task seen in turned frames, and an expert for each.

The dynamics of an ant do not know where north is. So a single policy learns in the environments of
all directions at once, each seen in the frame of one of them (`Family.frames`), and what it sees of
one direction serves all others. The expert of a context is that policy with the turn folded into
its first layer: same function, own weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from experts.evaluation import play
from experts.offpolicy.checkpoints import CheckpointRecorder, CheckpointSchedule
from experts.offpolicy.legacy import Legacy
from experts.offpolicy.loop import Loop
from experts.offpolicy.state import Saving
from experts.offpolicy.training import candidates_of, manifests
from experts.policy import MLPs
from experts.provenance import provenance
from experts.recipes import Recipe
from experts.store import Expert, expert_name
from experts.training import CURVE_POINTS, SELECTION_SEED
from param_envs import Context, Family
from param_envs.family import Array

SELECTION_EPISODES = 4
"""Played by each candidate in every context that it was trained in."""


def train_turned(
    family: Family,
    contexts: Sequence[Context],
    start: Expert,
    *,
    reward: str,
    recipe: Recipe,
    leaves: Sequence[Context] = (),
    legacy: Legacy | None = None,
    relabelled: bool = False,
    seed: int = 0,
    n_threads: int = 1,
    checkpoints: CheckpointSchedule | None = None,
    saving: Saving | None = None,
    on_steps: Callable[[int], None] | None = None,
) -> list[Expert]:
    """Trains one policy in all contexts at once, from an expert of one; an expert for each context.

    There is one environment a context. Of the candidates of the last quarter, and the start, the
    one whose deterministic play is best in the mean over the contexts of the training is kept, the
    same for all.

    Args:
        family: the family; its `frames` turn the contexts.
        contexts: n contexts that get an expert.
        start: expert of the context in whose frame all are seen.
        reward: meaning of the reward.
        recipe: of algorithm `sac` or `td3`. `warm_steps` counts over all environments; of
            `updates_per_step` and `n_envs` the ratio counts.
        leaves: contexts that are not trained in; their experts are the same policy, turned to
            where it never was.
        legacy: what the training of `start` left, to go on from.
        relabelled: whether what is stored is relabelled at random (`Family.relabellings`), so that
            it is learned for all ways to label the body at once.
        seed: of everything.
        n_threads: threads that environments step on, 0 for all cores.
        checkpoints: which policies along the training are kept, in the file of `start`'s context;
            steps count over all environments.
        saving: makes the training resumable.
        on_steps: called now and then with the environment steps done so far. An exception that it
            raises ends the training.

    Returns:
        n experts, not yet evaluated. `steps` and `seconds` in their manifests are equal shares of
        the training's; `turned` tells the contexts that it saw.

    Raises:
        ValueError: for another algorithm, a start of other layers, contexts that are all leaves or
            that the family cannot turn, or a saved state of another training.
        FloatingPointError: if the policy's weights are no longer finite.
    """
    trained = [context for context in contexts if context not in leaves]
    if not trained:
        raise ValueError("`contexts` must have one that is not among `leaves`, it has none")
    home = start.context
    ratio = recipe.updates_per_step / recipe.n_envs
    shared = replace(
        recipe,
        n_envs=len(trained),
        updates_per_step=max(1, round(ratio * len(trained))),
        handed_on=0,
    )
    (record,) = manifests(family, [home], reward, shared, [seed], [start], legacy)
    record["recipe"] = f"{recipe.name}-turned"
    record["turned"] = turning(home, trained, relabelled=relabelled)
    loop = Loop(
        family,
        [home],
        reward=reward,
        recipe=shared,
        seeds=[seed],
        device=torch.device("cpu"),
        n_threads=n_threads,
        warm_starts=[start],
        identity={"agents": [record]},
        recorder=None if checkpoints is None else CheckpointRecorder(checkpoints, [record]),
        saving=saving,
        legacy=legacy,
        turned=trained,
        relabelled=relabelled,
    )
    loop.run(on_steps)
    (candidates,) = candidates_of(loop, [record])
    kept = _best(candidates, family, trained, home, reward)
    told = {
        "steps": loop.steps // len(contexts),
        "updates": loop.learner.n_updates,
        "seconds": round(loop.seconds / len(contexts), 1),
        "device": loop.learner.device.type,
        "kept_from_step": kept,
        "curve": loop.curves[0][-CURVE_POINTS:],
        **provenance(),
    }
    found = candidates[kept]
    found = replace(found, record={**found.record, **told})
    frames = family.frames(contexts, home)
    return [turn(found, frame, context) for frame, context in zip(frames, contexts, strict=True)]


def turning(
    home: Mapping[str, float], trained: Sequence[Context], *, relabelled: bool
) -> dict[str, Any]:
    """What the manifests of experts trained together tell as `turned`.

    Args:
        home: the context in whose frame all were seen.
        trained: the contexts that it was trained in.
        relabelled: see `train_turned`.
    """
    told = {"home": expert_name(home), "contexts": [expert_name(context) for context in trained]}
    return {**told, **({"relabelled": True} if relabelled else {})}


def turn(expert: Expert, frame: Array, context: Mapping[str, float]) -> Expert:
    """The expert of another context that acts as this one does on what it is shown in a frame.

    Args:
        expert: of the context in whose frame the other is seen.
        frame: as `Family.frames` gives it, (observation_size, observation_size).
        context: the other context.
    """
    extras, twin = dict(expert.extras), expert.extras.get("twin.0.weight")
    if twin is not None:
        bare = MLPs((twin[None],), (np.zeros((1, twin.shape[1]), np.float32),))
        extras["twin.0.weight"] = bare.behind(frame[None]).weights[0][0]
    return Expert(
        policy=expert.policy.behind(frame[None]),
        critic=None if expert.critic is None else expert.critic.behind(frame[None]),
        extras=extras,
        record={**expert.record, "context": dict(context)},
    )


def _best(
    candidates: Mapping[int, Expert],
    family: Family,
    contexts: Sequence[Context],
    home: Context,
    reward: str,
) -> int:
    """The step whose policy is best in the mean over contexts, on starts that all share."""
    frames = family.frames(contexts, home)
    means = {}
    for step, candidate in candidates.items():
        played = play(
            candidate.policy.behind(frames),
            family,
            contexts,
            reward=reward,
            n_episodes=SELECTION_EPISODES,
            seed=SELECTION_SEED,
            n_threads=1,
        )
        means[step] = float(played.returns.mean())
    return max(means, key=lambda step: means[step])
