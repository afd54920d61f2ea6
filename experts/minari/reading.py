"""A Minari dataset to rollouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experts.episodes import Episode, assemble
from experts.minari.layout import (
    BLOCK,
    DATA,
    FORMAT_VERSION,
    METADATA,
    checksum_of,
    dataset_path,
    require_minari,
)
from experts.policy import Floats
from experts.rollouts import Rollouts, discounted_returns
from experts.store import Experts, shipped_experts
from param_envs import Context, Family, family_of

if TYPE_CHECKING:
    from minari import MinariDataset

LABEL_TOLERANCE = 1e-4
"""By how much a recorded label may differ from what the same expert does elsewhere."""


def from_minari(
    dataset: str | MinariDataset,
    *,
    folder: Path | None = None,
    experts: Experts | None = None,
    discount: float | None = None,
    features: Sequence[str] | None = None,
    verify: bool = True,
) -> Rollouts:
    """Reads a Minari dataset as rollouts: one of `to_minari`, or any of our environments.

    Of a dataset that was made elsewhere the contexts are in its `infos` (`record_infos=True`), or
    one is in its environment. Its actions count as free of noise and as their own labels, and its
    values are the discounted sums of the recorded rewards, without what follows a cut.

    Args:
        dataset: its name, or a dataset that is open, possibly filtered.
        folder: of all datasets, Minari's own by default.
        experts: those that played, of these contexts or more; by default the shipped ones are
            searched for them by checksum, and if they are not there the rollouts have none.
        discount: γ of the values; needed if the dataset does not say.
        features: names of the features that vary, by default what the dataset says or shows.
        verify: compare the data with their checksum.

    Raises:
        FileNotFoundError: if there is no such dataset.
        ValueError: naming the file, if it is damaged or changed, has no context, is of another
            family's sizes, or for experts that do not act as recorded.
        ModuleNotFoundError: if Minari is not installed.
    """
    require_minari()
    opened = _open(dataset, folder) if isinstance(dataset, str) else dataset
    path = Path(opened.storage.data_path)
    block: Mapping[str, Any] = opened.storage.metadata.get(BLOCK, {})
    if block.get("format", FORMAT_VERSION) != FORMAT_VERSION:
        raise ValueError(
            f"{path / METADATA}: `format` must be {FORMAT_VERSION}, got {block['format']}"
        )
    if verify and block and checksum_of(path / DATA) != block.get("sha256"):
        raise ValueError(
            f"{path / DATA}: checksum differs from the one in {METADATA}, the file is damaged or "
            "was changed (verify=False reads it all the same)"
        )
    if discount is None or "discount" in block:
        discount = _recorded_discount(block, discount, path)
    if opened.env_spec is None:
        raise ValueError(f"{path / METADATA}: the dataset does not say its environment")
    try:
        family = family_of(opened.env_spec.id)
        read = list(_episodes(opened, family, discount))
        rollouts = assemble(
            [episode for episode, _ in read],
            family=family,
            features=features or block.get("features"),
            reward=opened.env_spec.kwargs.get("reward") or family.reward_modes[0],
            discount=discount,
            n_steps=block.get("n_steps"),
        )
    except (ValueError, TypeError, OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path / DATA}: {error}") from error
    if experts is not None:
        return _with_experts(rollouts, experts)
    played = {episode.context: checksum for episode, checksum in read}
    return replace(
        rollouts, experts=shipped_experts([played[context] for context in rollouts.contexts])
    )


def _recorded_discount(block: Mapping[str, Any], discount: float | None, path: Path) -> float:
    recorded = block.get("discount")
    if recorded is None:
        raise ValueError(f"`discount` must be given, {path / METADATA} has none")
    if discount not in (None, recorded):
        raise ValueError(f"`discount` must be {recorded}, the dataset's own, got {discount}")
    return float(recorded)


def _open(name: str, folder: Path | None) -> MinariDataset:
    from minari import MinariDataset

    path = dataset_path(name, folder) / "data"
    if not path.is_dir():
        raise FileNotFoundError(
            f"there is no dataset {name!r} in {path.parents[name.count('/') + 1]}"
        )
    try:
        return MinariDataset(path)
    except (ValueError, TypeError, AttributeError, KeyError, AssertionError, OSError) as error:
        reason = f"{type(error).__name__} {error}".strip()
        raise ValueError(f"{path / METADATA}: Minari cannot open the dataset ({reason})") from error


def _episodes(
    dataset: MinariDataset, family: Family, discount: float
) -> Iterator[tuple[Episode, str | None]]:
    """Every episode, and the checksum of the expert that played it."""
    storage, ids = dataset.storage, dataset.episode_indices
    changed = any(
        "context" in (about.get("options") or {})
        for about in storage.get_episode_metadata(range(storage.total_episodes))
    )
    kwargs = {} if changed or "sampler" in dataset.env_spec.kwargs else dataset.env_spec.kwargs
    names = {feature.name for feature in family.features}
    fixed = {name: value for name, value in kwargs.items() if name in names} if kwargs else None
    found = zip(dataset.iterate_episodes(), storage.get_episode_metadata(ids), strict=True)
    for episode, about in found:
        infos = episode.infos or {}
        rewards = np.asarray(episode.rewards, dtype=np.float32)
        actions = np.asarray(episode.actions, dtype=np.float32)
        n = len(rewards)
        yield (
            Episode(
                context=_context(family, infos, about, fixed),
                observations=np.asarray(episode.observations, dtype=np.float32),
                actions=actions,
                labels=infos["expert_action"][:n] if "expert_action" in infos else actions,
                rewards=rewards,
                values=infos["value"][:n] if "value" in infos else _returns(rewards, discount),
                terminated=bool(episode.terminations[-1]),
                noise=float(infos["noise"][0]) if "noise" in infos else 0.0,
                seed=about.get("seed"),
            ),
            about.get("expert_sha256"),
        )


def _context(
    family: Family,
    infos: Mapping[str, Any],
    about: Mapping[str, Any],
    fixed: Mapping[str, float] | None,
) -> Context:
    """An episode's context: from its infos, its metadata or the dataset's environment."""
    if "context" in infos:
        columns = infos["context"]
        if any((column != column[0]).any() for column in columns.values()):
            raise ValueError(f"episode {about['id']} changes its context on the way")
        return family.context(**{name: float(column[0]) for name, column in columns.items()})
    values = about.get("context", fixed)
    if values is None:
        raise ValueError(
            f"episode {about['id']} does not say its context: collect with record_infos=True"
        )
    return family.context(**values)


def _returns(rewards: Floats, discount: float) -> Floats:
    running = np.ones((1, 1, len(rewards)), dtype=np.bool_)
    return discounted_returns(rewards[None, None], running, np.zeros((1, 1)), discount)[0, 0]


def _with_experts(rollouts: Rollouts, experts: Experts) -> Rollouts:
    """The rollouts with these experts, if they do what the labels say."""
    index = {context: i for i, context in enumerate(experts.contexts)}
    lacking = [context for context in rollouts.contexts if context not in index]
    if lacking:
        raise ValueError(f"`experts` must have one of every context, none is of {lacking[0]}")
    own = experts.select([index[context] for context in rollouts.contexts])
    for e in range(rollouts.mask.shape[1]):
        acts = own.policies.act(rollouts.observations[:, e])
        wrong = (np.abs(acts - rollouts.labels[:, e]) > LABEL_TOLERANCE).any(axis=2)
        wrong &= rollouts.mask[:, e]
        if wrong.any():
            context = rollouts.contexts[int(wrong.any(axis=1).argmax())]
            raise ValueError(f"`experts` must act as recorded, that of {context} does not")
    return replace(rollouts, experts=own)
