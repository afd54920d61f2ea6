"""The loop that trains K agents: acting, storing, updating; and going on after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experts.offpolicy.agents import make_learner, policies_of, start_from
from experts.offpolicy.checkpoints import CheckpointRecorder
from experts.offpolicy.crowd import Crowd
from experts.offpolicy.legacy import Legacy
from experts.offpolicy.relabelled import RelabelledReplay
from experts.offpolicy.replay import Replay
from experts.offpolicy.state import (
    Saving,
    check_same_training,
    discard_torn_states,
    load_state,
    save_state,
)
from experts.offpolicy.td3 import TD3Learner
from experts.offpolicy.updates import Updates
from experts.recipes import Recipe
from experts.store import Expert
from experts.training import CANDIDATES_FROM, CURVE_POINTS
from param_envs import Context, Family

N_REPORTS = 100
"""How often a training reports its steps and looks at its weights."""


class Loop:
    """Environments, replay and learner of one training, and how far it is.

    Attributes:
        learner: the agents.
        steps: environment steps done, an agent.
        seconds: spent so far, with those before a kill.
        curves: an agent's mean returns over stretches of the training, as (steps, return).
        candidates: parameters of actors and critics after some of the last steps, by step, and all
            of the learner's tensors where `legacy` can be asked for; after no step too, where
            these were an expert's.
    """

    def __init__(
        self,
        family: Family,
        contexts: Sequence[Context],
        *,
        reward: str,
        recipe: Recipe,
        seeds: Sequence[int],
        device: torch.device,
        n_threads: int,
        warm_starts: Sequence[Expert] | None,
        identity: Mapping[str, Any],
        recorder: CheckpointRecorder | None,
        saving: Saving | None,
        legacy: Legacy | None = None,
        keep_outcomes: bool = False,
        turned: Sequence[Context] | None = None,
        relabelled: bool = False,
    ) -> None:
        """Starts a training, or takes up the saved one.

        Args:
            family: the family.
            contexts: K contexts.
            reward: meaning of the reward.
            recipe: algorithm and hyperparameters.
            seeds: one an agent, of its networks; the first is of everything else.
            device: where networks and replay live.
            n_threads: threads that environments step on, 0 for all cores.
            warm_starts: K experts to start from.
            identity: what a saved state must have been made with, in terms of JSON.
            recorder: of policies along the training.
            saving: where and how often the state is saved.
            legacy: what a training of K agents of the same bodies left: this one goes on from it.
            keep_outcomes: whether `legacy` can be asked for at the end.
            turned: contexts of the environments of a single agent, in whose frame they are seen.
            relabelled: whether each transition is stored in labels of the body's parts drawn
                among the family's `relabellings`.
        """
        self._recipe = recipe
        self._device = device
        self._saving = saving
        self._contexts = contexts
        self._identity = identity
        self._recorder = recorder
        self._warm = warm_starts is not None
        self._total = recipe.warm_steps if self._warm else recipe.total_steps
        self.steps = 0
        self.seconds = 0.0
        self.curves: list[list[tuple[int, float]]] = [[] for _ in contexts]
        self.candidates: dict[int, dict[str, Tensor]] = {}
        # On a CPU the very stream of agent 0's first weights; another would change all builds.
        self._generator = torch.Generator(device=device).manual_seed(seeds[0])
        self.learner = make_learner(family, recipe, seeds, device)
        if warm_starts is not None:
            start_from(self.learner, warm_starts)
            if recipe.n_candidates > 1:
                self.candidates[0] = self.parameters()
        begun = 0 if legacy is None else len(legacy)
        self._replay = _empty_replay(
            family,
            len(contexts),
            recipe.n_envs,
            max(recipe.n_envs, min(recipe.buffer_size, begun + self._total + recipe.n_envs)),
            device,
            n_outcomes=len(family.outcome_names) if keep_outcomes else 0,
            labels=self._generator if relabelled else None,
        )
        if legacy is not None:
            rewards = legacy.rewards(family, contexts, reward)
            legacy.bequeath(self.learner, self._replay, rewards)
            self.learner.held = 0
        self._resume()
        self._updates = Updates(
            self.learner, self._replay, batch_size=recipe.batch_size, generator=self._generator
        )
        self._levels = torch.tensor(recipe.levels, device=device)
        self._crowd = Crowd(
            family,
            contexts,
            reward=reward,
            n_envs=recipe.n_envs,
            seed=(seeds[0], self.steps),
            n_threads=n_threads,
            turned=turned,
        )

    def run(self, on_steps: Callable[[int], None] | None) -> None:
        """Trains to the end, and closes the environments however it ends."""
        try:
            self._run(on_steps)
        finally:
            self._crowd.close()

    def _run(self, on_steps: Callable[[int], None] | None) -> None:
        began = time.perf_counter() - self.seconds
        saved = time.perf_counter()
        next_report, next_point = self.steps, self.steps + self._total // CURVE_POINTS
        snapshots = [step for step in self._snapshot_steps() if step > self.steps]
        while self.steps < self._total:
            self._step()
            self.seconds = time.perf_counter() - began
            if snapshots and self.steps >= snapshots[0]:
                snapshots.pop(0)
                self.candidates[self.steps] = self._snapshot()
            if self._recorder is not None and self._recorder.due(self.steps):
                self._check_finite()
                arrays = self.learner.actor.arrays()
                activation = self.learner.actor.activation
                policies = policies_of(*arrays, self.learner.action_size, activation)
                self._recorder.keep(self.steps, policies)
            if self.steps >= next_point:
                next_point = self.steps + self._total // CURVE_POINTS
                self._note_returns()
            if self.steps >= next_report:
                next_report = self.steps + self._total // N_REPORTS
                self._check_finite()
                if on_steps is not None:
                    on_steps(self.steps)
            if self._saving is not None and self.steps < self._total:
                if time.perf_counter() - saved >= 60.0 * self._saving.minutes:
                    self._save(self._saving)
                    saved = time.perf_counter()
        self._check_finite()
        if self._recorder is not None:
            self._recorder.flush()
        if self._saving is not None:  # choosing and playing the experts may take minutes
            needed = self._saving.with_replay and self._replay.n_outcomes > 0  # to hand it on
            self._save(replace(self._saving, with_replay=needed))

    def legacy(self, n: int, step: int) -> Legacy:
        """What those can go on from that start from here, with the last n transitions an agent.

        Args:
            n: number of transitions.
            step: of the candidates, whose learner it is; the present one for another step.
        """
        found = self.candidates.get(step, {}) if step > 0 else {}
        return Legacy.of(found or self.learner.tensors(), self._replay, n)

    def parameters(self) -> dict[str, Tensor]:
        """Copies of the agents' actors and critics."""
        networks = {"actor": self.learner.actor, "critics": self.learner.critics}
        return {name: network.flat.clone() for name, network in networks.items()}

    def _snapshot(self) -> dict[str, Tensor]:
        if self._replay.n_outcomes == 0:  # nothing is handed on
            return self.parameters()
        return {name: tensor.detach().clone() for name, tensor in self.learner.tensors().items()}

    def _step(self) -> None:
        """One step of all environments, and the updates that belong to it.

        On a GPU the updates are only launched before the environments step, and run meanwhile.
        """
        recipe = self._recipe
        deviation = self._follow_schedules()
        actions = self._choose_actions(deviation).cpu()
        if len(self._replay) >= max(1, min(recipe.learning_starts, self._replay.capacity)):
            self._updates.run(recipe.updates_per_step)
        observations = self._crowd.observations
        self._replay.add(observations, actions, *self._crowd.step(actions))
        self.steps += recipe.n_envs

    def _choose_actions(self, deviation: float) -> Tensor:
        """Uniform actions at the very beginning, explored ones from then on."""
        observations = self._crowd.observations.to(self._device)
        if self.steps < self._recipe.learning_starts and not self._warm:
            shape = (*observations.shape[:-1], self.learner.action_size)
            uniform = torch.rand(shape, generator=self._generator, device=self._device)
            return 2.0 * uniform - 1.0
        return self.learner.explore(observations, deviation * self._levels, self._generator)

    def _follow_schedules(self) -> float:
        """Sets rates and noise for the present step; the deviation of the exploration noise."""
        recipe = self._recipe
        start, end = recipe.learning_rate, recipe.final_learning_rate
        if self._warm and recipe.warm_learning_rate is not None:
            start = recipe.warm_learning_rate
        if end != start or start != recipe.learning_rate:
            done = self.steps / self._total
            self.learner.set_learning_rate(start + done * (end - start))
        start = recipe.warm_exploration if self._warm else recipe.exploration
        fraction = min(1.0, self.steps / (recipe.exploration_steps or self._total))
        deviation = start + fraction * (recipe.final_exploration - start)
        if isinstance(self.learner, TD3Learner) and recipe.target_noise is None:
            self.learner.set_target_noise(deviation)
        return deviation

    def _snapshot_steps(self) -> list[int]:
        """When candidates are kept, as `experts.training` does; the end is one more."""
        gaps = self._recipe.n_candidates - 1
        shares = [CANDIDATES_FROM + (1.0 - CANDIDATES_FROM) * i / gaps for i in range(gaps)]
        return [int(share * self._total) for share in shares]

    def _note_returns(self) -> None:
        for curve, finished in zip(self.curves, self._crowd.finished, strict=True):
            if finished:
                curve.append((self.steps, round(float(np.mean(finished)), 2)))
                finished.clear()

    def _check_finite(self) -> None:
        parameters = self.learner.actor.parameters
        finite = torch.stack([p.isfinite().flatten(1).all(dim=1) for p in parameters]).all(dim=0)
        if not finite.all():
            raise FloatingPointError(
                f"the policy for {self._contexts[int(finite.int().argmin())]} is not finite after "
                f"{self.steps} steps; try a `learning_rate` below {self._recipe.learning_rate:g}"
            )

    def _save(self, saving: Saving) -> None:
        if self._recorder is not None:
            self._recorder.flush()
        tensors = self.learner.tensors() | {"generator": self._generator.get_state()}
        if saving.with_replay:
            tensors |= self._replay.tensors()
        for step, parameters in self.candidates.items():
            tensors |= {f"candidate.{step}.{name}": value for name, value in parameters.items()}
        facts = {
            "identity": self._identity,
            "device": self._device.type,
            "steps": self.steps,
            "seconds": self.seconds,
            "n_updates": self.learner.n_updates,
            "written": self._replay.written,
            "curves": self.curves,
            "kept": None if self._recorder is None else self._recorder.last,
        }
        save_state(saving.path, tensors, facts)

    def _resume(self) -> None:
        if self._saving is None:
            return
        discard_torn_states(self._saving.path)
        if not self._saving.path.exists():
            return
        tensors, facts = load_state(self._saving.path)
        check_same_training(self._saving.path, self._identity, facts)
        self.steps, self.seconds = facts["steps"], facts["seconds"]
        self.curves = [[(step, mean) for step, mean in curve] for curve in facts["curves"]]
        self.learner.load(tensors, facts["n_updates"])
        if facts.get("device", self._device.type) == self._device.type:
            self._generator.set_state(tensors["generator"])
        else:  # generators of CPU and GPU have other states
            self._generator.manual_seed(self._generator.initial_seed() + self.steps)
        if "replay" in tensors:
            self._replay.load(tensors, facts["written"])
        for name, value in tensors.items():
            if name.startswith("candidate."):
                _, step, part = name.split(".", 2)
                self.candidates.setdefault(int(step), {})[part] = value.to(self._device)
        self.candidates = dict(sorted(self.candidates.items()))
        if self._recorder is not None:
            self._recorder.restore(self.steps, facts.get("kept"))


def _empty_replay(
    family: Family,
    n_agents: int,
    n_envs: int,
    capacity: int,
    device: torch.device,
    *,
    n_outcomes: int,
    labels: torch.Generator | None,
) -> Replay:
    """A replay; with a generator of labels, one that stores transitions relabelled."""
    kind = Replay if labels is None else RelabelledReplay
    sizes = (family.observation_size, family.action_size)
    found = kind(n_agents, n_envs, capacity, *sizes, device, n_outcomes=n_outcomes)
    if isinstance(found, RelabelledReplay) and labels is not None:
        found.relabel_by(family.relabellings(), labels)
    return found
