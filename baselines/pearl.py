"""A policy that is not told the context but infers it from transitions.

Rakelly et al., "Efficient Off-Policy Meta-RL via Probabilistic Context Variables" (PEARL), ICML
2019 (arXiv 1903.08254), in the behaviour-cloning form in which HyperZero's authors compare with it
(Rezaei-Shoshtari et al., AAAI 2023, arXiv 2211.15457). An encoder turns each transition of a task
into a Gaussian factor; with the unit prior their product is the posterior of a latent z,

    q(z | τ1..τn) ∝ N(z; 0, 1) Π Ψ(z | τi),  Ψ(z | τ) = N(z; μ(τ), σ²(τ)),

and the policy π(s, z) is that of `baselines.conditioned`, with z in the context's place. The loss
is its action error at z ~ q plus β KL(q || N(0, 1)).

Training encodes the first steps of one episode, any number of them from none on, and predicts
actions in other episodes of the task. (As published, the encoder saw the very state and action that
was to be predicted, which tells it the answer.) At test z is the posterior's mean, of what a slot
has seen since its episode began: the prior's at the first step. Demonstrations come on top in
`adapt`, the policies' own earlier episodes with `policies(..., keep_episodes=True)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.beliefs import Encoder, Evidence, kl_loss
from baselines.conditioned import ConditionedConfig, ConditionedNetwork
from baselines.transcripts import Drawer, Transcripts
from experts import Rollouts
from experts.descent import descend
from experts.minibatches import Minibatches
from experts.validation import require


@dataclass(frozen=True, kw_only=True)
class PEARLConfig(ConditionedConfig):
    """Hyperparameters of PEARL's behaviour-cloning form.

    `encode_contexts` has no meaning here: no context is looked at. By default there are as many
    updates as HyperZero's processor time allows.

    Attributes:
        encoder_sizes: widths of the encoder's hidden layers.
        latent_size: length of z.
        encode_outcomes: encode (s, a, r, s' - s), else (s, a) alone.
        kl_weight: β, of the divergence summed over the entries of z, in nats.
        batch_encoded: transitions that are encoded a context and minibatch, at most.
        leaks_labels: as released: training encodes the very state and action that is to be
            predicted, a latent a state, and a test the step before, that of the last episode at the
            first step. To show what it does; it has no use.
    """

    encoder_sizes: tuple[int, ...] = (128, 128)
    latent_size: int = 3
    encode_outcomes: bool = True
    kl_weight: float = 1e-4
    updates: int = 4500
    batch_encoded: int = 32
    leaks_labels: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent_size", "batch_encoded"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        sizes = self.encoder_sizes
        require("encoder_sizes", sizes, sizes and min(sizes) >= 1, "widths of at least 1")
        weight = self.kl_weight
        require("kl_weight", weight, 0 <= weight < float("inf"), "at least 0 and finite")
        require("match_capacity", self.match_capacity, not self.match_capacity, "False for PEARL")
        fits = not (self.leaks_labels and self.encode_outcomes)
        require("encode_outcomes", self.encode_outcomes, fits, "False with `leaks_labels`")

    @classmethod
    def paper(cls, *, updates: int = 500) -> PEARLConfig:
        """The released sizes, rates and 500 updates, without its label leak.

        Its encoder sees (s, a), from which a latent of 256 entries is drawn a transition; here, as
        in PEARL, it is drawn a task.
        """
        return cls(
            encoder_sizes=(256, 256),
            latent_size=256,
            encode_outcomes=False,
            kl_weight=0.01,
            normalise_observations=False,
            learning_rate=1e-4,
            schedule="constant",
            updates=updates,
            batch_tasks=1_000_000,
            batch_states=340,
            batch_encoded=340,
        )


class PEARLNetwork(nn.Module):
    """Encoder and policy; the policy takes z where another one takes the context."""

    def __init__(
        self,
        n_transition: int,
        observation_size: int,
        action_size: int,
        config: PEARLConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(
            n_transition, config.encoder_sizes, config.latent_size, config.init, generator
        )
        self.policy = ConditionedNetwork(
            config.latent_size, observation_size, action_size, config, generator
        )


def posterior_of(network: PEARLNetwork, encoded: Tensor, counts: Tensor) -> Evidence:
    """The posterior (n_tasks, latent_size) of encoded transitions (n_tasks, n, n_inputs).

    Transitions whose entry of `counts` (n_tasks, n) is 0 do not count; with none it is the prior.
    """
    factors = network.encoder(encoded)
    weights = counts[..., None]
    return Evidence(
        1.0 + (weights * factors.precision).sum(1), (weights * factors.weighted_mean).sum(1)
    )


class PEARL:
    """The method: `fit` learns from the experts of some contexts, without using the contexts."""

    def __init__(self, config: PEARLConfig | None = None) -> None:
        self.config = PEARLConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedPEARL:
        """Trains encoder and policy on the training contexts' rollouts.

        Args:
            data: rollouts of the training contexts' experts.
            seed: decides initial weights, minibatches and drawn latents; the same one gives the
                same weights, as long as torch has the same number of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has fewer than two contexts, a context with fewer than two
                episodes, or entries that are not finite.
            FloatingPointError: if the training diverged.
        """
        config = self.config
        generator = torch.Generator().manual_seed(seed)
        batches = Minibatches(
            data, normalise_observations=config.normalise_observations, normalise_values=False
        )
        transcripts = Transcripts(data, batches, outcomes=config.encode_outcomes)
        drawer = Drawer(data, batches, transcripts)
        family = data.family
        network = PEARLNetwork(
            transcripts.n_inputs, family.observation_size, family.action_size, config, generator
        )
        losses: dict[str, Tensor] = {}

        def draw_loss() -> Tensor:
            tasks = batches.tasks(config.batch_tasks, generator)
            if config.leaks_labels:
                pairs = drawer.leaking_pairs(tasks, config.batch_states, generator)
            else:
                pairs = drawer.pairs(tasks, config.batch_states, config.batch_encoded, generator)
            posterior = posterior_of(network, pairs.encoded, pairs.counts)
            drawn = torch.randn(posterior.mean.shape, generator=generator)
            latents = posterior.mean + drawn * posterior.precision.rsqrt()
            actions = network.policy(latents, pairs.states.observations)
            losses["action"] = nn.functional.mse_loss(actions, pairs.states.labels)
            losses["kl"] = kl_loss(posterior)
            return losses["action"] + config.kl_weight * losses["kl"]

        descend(
            network,
            draw_loss,
            updates=config.updates,
            learning_rate=config.learning_rate,
            schedule=config.schedule,
            progress=progress,
        )
        last = {name: float(loss.detach()) for name, loss in losses.items()}
        return FittedPEARL(network, config, data, batches, transcripts, last)


class FittedPEARL:
    """A trained encoder and policy.

    Attributes:
        config: with which it was trained.
        losses: the last minibatch's loss terms, unweighted: `action` and `kl`.
    """

    def __init__(
        self,
        network: PEARLNetwork,
        config: PEARLConfig,
        data: Rollouts,
        batches: Minibatches,
        transcripts: Transcripts,
        losses: Mapping[str, float],
    ) -> None:
        self.network = network.eval()
        self.config = config
        self.losses = dict(losses)
        self._family = data.family
        self._mean, self._scale = batches.observation_mean, batches.observation_scale
        self._transcripts = transcripts

    def policies(
        self, contexts: Sequence[Mapping[str, float]], *, keep_episodes: bool = False
    ) -> PEARLPolicies:
        """A policy for each of n_contexts contexts, of which it knows nothing but the number.

        Args:
            contexts: validated, and not looked at otherwise.
            keep_episodes: add what whole episodes have shown to the prior of all later ones in the
                same context. Without it every episode starts from the prior.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        if not contexts:
            raise ValueError("`contexts` must hold at least one context, got none")
        for context in contexts:
            self._family.context(**context)
        shape = (len(contexts), self.config.latent_size)
        return self._policies(Evidence(torch.ones(shape), torch.zeros(shape)), keep_episodes)

    def adapt(self, demonstrations: Rollouts, *, seed: int) -> PEARLPolicies:
        """The policies of the demonstrations' contexts, which start from what those show.

        Args:
            demonstrations: episodes of n contexts; their executed actions are what counts.
            seed: not used; nothing is random.

        Raises:
            ValueError: if an entry of them is not finite.
        """
        base = self.posterior(demonstrations)
        for tensor in base:
            if not torch.isfinite(tensor).all():
                raise ValueError("`demonstrations` must be finite, got entries that are not")
        return self._policies(base, False)

    def posterior(self, episodes: Rollouts) -> Evidence:
        """The posterior (n_contexts, latent_size) of all transitions of each context."""
        rows = []
        for i in range(len(episodes)):
            mask = episodes.mask[i]
            encoded = self._transcripts.of(
                episodes.observations[i][mask],
                episodes.actions[i][mask],
                episodes.rewards[i][mask],
                episodes.next_observations[i][mask],
            )
            with torch.no_grad():
                rows.append(posterior_of(self.network, encoded[None], torch.ones(1, len(encoded))))
        return Evidence(*(torch.cat(parts) for parts in zip(*rows, strict=True)))

    def _policies(self, base: Evidence, keep_episodes: bool) -> PEARLPolicies:
        last_step = self.config.leaks_labels
        return PEARLPolicies(
            self.network, self._transcripts, self._mean, self._scale, base, keep_episodes, last_step
        )


class PEARLPolicies:
    """Policies with a memory: act, then `observe` what came of it."""

    def __init__(
        self,
        network: PEARLNetwork,
        transcripts: Transcripts,
        mean: NDArray[np.float32],
        scale: NDArray[np.float32],
        base: Evidence,
        keep_episodes: bool,
        last_step: bool = False,
    ) -> None:
        """Starts from the posteriors `base`, (n_contexts, latent_size).

        With `last_step` the latest step is all that is known beside them, until the next one.
        """
        self._network, self._transcripts = network, transcripts
        self._mean, self._scale = mean, scale
        self._base, self._keep, self._last_step = base, keep_episodes, last_step
        self.reset()

    def reset(self) -> None:
        """All slots begin an episode; there may be another number of them than before."""
        self._seen: Evidence | None = None
        self._over: Tensor | None = None

    def posterior(self, n_envs: int) -> Evidence:
        """What each slot believes now, (n_contexts, n_envs, latent_size)."""
        base = Evidence(*(part[:, None].expand(-1, n_envs, -1) for part in self._base))
        seen = self._seen
        if seen is None:
            return base
        if seen.precision.shape[1] != n_envs:
            raise ValueError(
                f"`observations` must be of {seen.precision.shape[1]} environments a context "
                f"until `reset()`, got {n_envs}"
            )
        return Evidence(*(a + b for a, b in zip(base, seen, strict=True)))

    def act(self, observations: NDArray[np.floating]) -> NDArray[np.float32]:
        """Actions (n_contexts, n_envs, size) in [-1, 1] for (n_contexts, n_envs, obs_size).

        Raises:
            ValueError: if the number of environments changes during episodes.
        """
        latents = self.posterior(observations.shape[1]).mean
        normalised = ((np.asarray(observations) - self._mean) / self._scale).astype(np.float32)
        with torch.no_grad():
            actions = self._network.policy(
                latents.flatten(0, 1), torch.from_numpy(normalised).flatten(0, 1)[:, None]
            )
        found: NDArray[np.float32] = actions.reshape(*observations.shape[:2], -1).numpy()
        return found

    def observe(
        self,
        observations: NDArray[np.floating],
        actions: NDArray[np.floating],
        rewards: NDArray[np.floating],
        next_observations: NDArray[np.floating],
        dones: NDArray[np.bool_],
    ) -> None:
        """Learns from one step of every slot.

        A slot that was done before this step shows nothing in it: it is being reset, or idle.

        Args:
            observations: before the step, (n_contexts, n_envs, observation_size).
            actions: executed, (n_contexts, n_envs, action_size).
            rewards: (n_contexts, n_envs).
            next_observations: after it, (n_contexts, n_envs, observation_size).
            dones: whether the slot's episode is over, (n_contexts, n_envs).
        """
        done = torch.from_numpy(np.array(dones, dtype=np.bool_))  # a copy: callers may write to it
        over = torch.zeros_like(done) if self._over is None else self._over
        self._over = done
        encoded = self._transcripts.of(observations, actions, rewards, next_observations)
        with torch.no_grad():
            factors = self._network.encoder(encoded)
        if self._last_step:
            self._seen = factors
            return
        new = Evidence(*(torch.where(over[..., None], 0.0, part) for part in factors))
        if self._seen is not None:
            new = Evidence(*(a + b for a, b in zip(self._seen, new, strict=True)))
        ended = done[..., None]
        if self._keep:
            whole = (torch.where(ended, part, 0.0).sum(1) for part in new)
            self._base = Evidence(*(a + b for a, b in zip(self._base, whole, strict=True)))
        self._seen = Evidence(*(torch.where(ended, 0.0, part) for part in new))
