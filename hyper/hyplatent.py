"""HypLatent: a generative adversarial network whose samples are policies.

Reddy et al., "GenHyper: Adversarial Generative Hypernetworks for Efficient Policy Adaptation", IROS
2025, stage 1. It learns from many policies X of each training task, with a condition c a task:

    autoencoder, equation 1:    |D(E(X)) - X|², after which Z = E(X) stands for the policy
    generator, equation 2:      log(1 - F(Ẑ)) + λ |Ẑ - Z|²,  Ẑ = G(c, n), n ~ N(0, I)
    discriminator, equation 3:  log F(Z) + log(1 - F(Ẑ)), to be maximised
    auxiliary head, equation 4: λ_reg |Q(Ẑ) - c|², by which Q, F and G learn

By default Z is the policy's scaled parameters themselves, as the authors' page says of zero-shot
experiments; with `space="latents"` it is the code of a linear autoencoder. The paper leaves sizes,
weights and rates open, and contradicts itself; docs/genhyper.md has every choice. With λ a thousand
times the other weight, as in the predecessor's code, G is nearly a regression on c: what the
adversary adds is measured by leaving it out (`adversarial_weight=0`), and what the noise adds by
`noise_size=0`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from experts import MLPPolicies, Rollouts
from experts.collections import Collection, collection_of_experts
from experts.embedding import context_inputs
from experts.validation import require
from experts.weight_space import Schema, policies_of
from hyper.hyplatent_codec import PolicyBank
from hyper.hyplatent_config import HypLatentConfig
from hyper.hyplatent_training import WeightGenerator, train_generator
from param_envs import Family


class HypLatent:
    """The method: `fit` learns from the policies of some contexts, for any context."""

    def __init__(self, config: HypLatentConfig | None = None) -> None:
        self.config = HypLatentConfig() if config is None else config

    def fit(
        self,
        data: Rollouts,
        *,
        seed: int,
        progress: Callable[[float], None] | None = None,
    ) -> FittedHypLatent:
        """Trains on the training contexts' policies; what these do is not looked at.

        Args:
            data: with `data.collection`, or with `data.experts`, which are then the only policy of
                each context.
            seed: decides initial weights, minibatches and noise; the same one gives the same
                policies, as long as torch has the same number of threads.
            progress: called with the fraction done, in (0, 1].

        Raises:
            ValueError: if `data` has neither, or its collection is of other contexts.
            FloatingPointError: if the training diverged.
        """
        collection = _collection(data)
        inputs = context_inputs(
            data.family, data.contexts, data.features, encode=self.config.encode_contexts
        )
        bank = PolicyBank(collection.vectors, list(inputs.numpy()), _device(self.config.device))
        generator = train_generator(
            bank, collection.schema.lengths, self.config, seed=seed, progress=progress
        )
        return FittedHypLatent(
            generator, self.config, data.family, data.features, collection.schema, seed=seed
        )


class FittedHypLatent:
    """A trained generator: policies for any context of the family.

    What is asked for by name is kept apart: `mean_policies`, one a context, are what a method can
    answer with; so is one sample. Which of many samples is best can only be told by playing them,
    see `zeroshot.genhyper`.

    Attributes:
        losses: the last terms of each loss, see `hyper.hyplatent_training.WeightGenerator`.
    """

    def __init__(
        self,
        generator: WeightGenerator,
        config: HypLatentConfig,
        family: Family,
        features: tuple[str, ...],
        schema: Schema,
        *,
        seed: int,
    ) -> None:
        self.generator, self.config, self.schema = generator, config, schema
        self.losses = generator.losses
        self._family, self._features, self._seed = family, features, seed

    def policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        """The policy of each context that the config's `answer` names, made once.

        Raises:
            ValueError: if there is none, or for an unknown feature or a value out of range.
        """
        if self.config.answer == "mean":
            return self.mean_policies(contexts)
        return self.samples(contexts, 1, seed=self._seed)

    def mean_policies(self, contexts: Sequence[Mapping[str, float]]) -> MLPPolicies:
        """Policies of the mean parameters of `mean_samples` samples, one a context.

        Raises:
            ValueError: as `policies` does.
        """
        vectors = self._vectors(contexts, self.config.mean_samples, self._seed)
        return policies_of(vectors.mean(axis=1), self.schema)

    def samples(self, contexts: Sequence[Mapping[str, float]], n: int, *, seed: int) -> MLPPolicies:
        """Policies (n_contexts * n), n of the first context first; all contexts share their noise.

        Args:
            contexts: n_contexts contexts.
            n: policies a context.
            seed: of the noise.

        Raises:
            ValueError: if `n` is below 1, or as `policies` does.
        """
        require("n", n, n >= 1, "at least 1")
        vectors = self._vectors(contexts, n, seed)
        return policies_of(vectors.reshape(-1, vectors.shape[2]), self.schema)

    def _vectors(
        self, contexts: Sequence[Mapping[str, float]], n: int, seed: int
    ) -> NDArray[np.float32]:
        """Vectors (n_contexts, n, size)."""
        inputs = context_inputs(
            self._family, contexts, self._features, encode=self.config.encode_contexts
        )
        noise = np.random.default_rng(seed).standard_normal((n, self.config.noise_size))
        return self.generator.vectors(inputs.numpy(), noise)


def _collection(data: Rollouts) -> Collection:
    if data.collection is None:
        if data.experts is None:
            raise ValueError("`data` must have a collection or experts, it has neither")
        return collection_of_experts(data.experts)
    if [dict(task) for task in data.collection.tasks] != [dict(c) for c in data.contexts]:
        raise ValueError("`data.collection` must be of the contexts of the data, in their order")
    return data.collection


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("`device` must be cpu or auto, no CUDA device was found, got 'cuda'")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
