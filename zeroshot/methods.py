"""The methods that can be run by name, and those of a user's own by import path."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from operator import attrgetter
from typing import Any, Literal

from zeroshot.protocol import Method


@dataclass(frozen=True, kw_only=True)
class MethodRecord:
    """A named method; nothing is imported before it is made.

    Attributes:
        doc: one line for the help text.
        target: import path of the class, `module:Class`.
        config: import path of what makes its config, `module:Config` or `module:Config.preset`.
        changes: fields of the config to replace, for ablations.
        networks: whether its policies are networks, which can be trained on.
    """

    doc: str
    target: str
    config: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    networks: bool = True

    @property
    def settings(self) -> Literal["package", "paper"]:
        """Whose settings it has: tuned in this package, or those of a paper or its release."""
        return "paper" if self.config.endswith(".paper") else "package"

    def make(self) -> Method:
        """The method, with its config."""
        config = replace(_imported(self.config)(), **self.changes)
        method: Method = _imported(self.target)(config)
        return method


def _hyperzero(doc: str, preset: str = "", **changes: Any) -> MethodRecord:
    return MethodRecord(
        doc=doc,
        target="hyper.hyperzero:HyperZero",
        config=f"hyper.hyperzero:HyperZeroConfig{preset}",
        changes=changes,
    )


def _hyperdistil(doc: str, **changes: Any) -> MethodRecord:
    return MethodRecord(
        doc=doc,
        target="hyper.distilled:HyperDistil",
        config="hyper.distilled:HyperDistilConfig",
        changes=changes,
    )


def _conditioned_distil(doc: str, **changes: Any) -> MethodRecord:
    return replace(_hyperdistil(doc, **changes), target="hyper.distilled:ConditionedDistil")


def _conditioned(doc: str, preset: str = "", **changes: Any) -> MethodRecord:
    return MethodRecord(
        doc=doc,
        target="baselines.conditioned:Conditioned",
        config=f"baselines.conditioned:ConditionedConfig{preset}",
        changes=changes,
    )


def _baseline(
    doc: str, method: str, preset: str = "", *, networks: bool = True, **changes: Any
) -> MethodRecord:
    module = f"baselines.{method.lower()}"
    return MethodRecord(
        doc=doc,
        target=f"{module}:{method}",
        config=f"{module}:{method}Config{preset}",
        changes=changes,
        networks=networks,
    )


def _hyplatent(doc: str, preset: str = "", **changes: Any) -> MethodRecord:
    return MethodRecord(
        doc=doc,
        target="hyper.hyplatent:HypLatent",
        config=f"hyper.hyplatent_config:HypLatentConfig{preset}",
        changes=changes,
    )


_NO_ADVERSARY: dict[str, Any] = {"adversarial_weight": 0.0, "auxiliary_weight": 0.0}

METHODS: dict[str, MethodRecord] = {
    "hyperzero": _hyperzero("HyperZero with normalised contexts, observations and values"),
    "hyperzero-paper": _hyperzero("HyperZero with the paper's own settings", ".paper"),
    "hyperzero-without-td": _hyperzero("HyperZero without the TD loss", td_weight=0.0),
    "hyperzero-without-value": _hyperzero(
        "HyperZero, policy only", value_weight=0.0, td_weight=0.0
    ),
    "hyperzero-undiscounted-td": _hyperzero(
        "HyperZero with a discount of 1 in the TD loss, as released", td_discounted=False
    ),
    "hyperdistil": _hyperdistil("a generator taught by the experts on the states that it visits"),
    "hyperdistil-without-blends": _hyperdistil(
        "the same, told nothing of what is between training contexts", blend_weight=0.0
    ),
    "hyperdistil-without-rounds": _hyperdistil(
        "the same, taught on the experts' own states alone", rounds=0
    ),
    "hyperdistil-focused": _hyperdistil(
        "the same, taught more on the states of a round where the policies err", focus=0.5
    ),
    "hyperdistil-without-trials": _hyperdistil(
        "the same, its policies handed out as they are generated", trials=0
    ),
    "hyperdistil-without-logarithm": _hyperdistil(
        "the same, told of a speed's magnitude as it is alone", log_speeds=False
    ),
    "hyperdistil-one-layer": _hyperdistil(
        "the same, policies of one hidden layer as HyperZero's", policy_sizes=(256,)
    ),
    "conditioned-distilled": _conditioned_distil(
        "one policy that takes the context's embedding, taught as hyperdistil is",
        policy_sizes=(256, 256),
    ),
    "hyplatent": _hyplatent("GenHyper's generator of policies' weights: mean of its samples"),
    "hyplatent-sample": _hyplatent("the same, one of its samples", answer="sample"),
    "hyplatent-without-span": _hyplatent(
        "the same, every parameter an output, not coordinates between training policies", span=False
    ),
    "hyplatent-raw-contexts": _hyplatent(
        "the same, told the context as it is", encode_contexts=False
    ),
    "hyplatent-saturating": _hyplatent(
        "the same with the paper's loss, log(1 - F)", saturating=True
    ),
    "hyplatent-limits": _hyplatent(
        "the same, every parameter scaled by its own range", scale="limits"
    ),
    "hyplatent-latents": _hyplatent("the same in an autoencoder's latent space", space="latents"),
    "hyplatent-paper": _hyplatent("the same with its predecessor's sizes and rates", ".paper"),
    "hyplatent-without-auxiliary": _hyplatent(
        "the same, its discriminator not asked for the context", auxiliary_weight=0.0
    ),
    "hyplatent-without-adversary": _hyplatent(
        "the same generator, taught by reconstruction alone", **_NO_ADVERSARY
    ),
    "weight-regression": _hyplatent(
        "weights regressed on the context: neither adversary nor noise",
        **_NO_ADVERSARY,
        noise_size=0,
        mean_samples=1,
    ),
    "conditioned": _conditioned("one policy that takes the context's embedding as an input"),
    "conditioned-paper": _conditioned("the same with the paper's own settings", ".paper"),
    "conditioned-wide": _conditioned(
        "the same with as many parameters as HyperZero", match_capacity=True, updates=1800
    ),
    "conditioned-uvfa": _baseline("the same with a universal value function beside it", "UVFA"),
    "conditioned-uvfa-paper": _baseline(
        "policy and value function with the paper's own settings", "UVFA", ".paper"
    ),
    "conditioned-uvfa-wide": _baseline(
        "policy and value function with as many parameters as HyperZero",
        "UVFA",
        match_capacity=True,
        updates=1400,
    ),
    "film": _baseline("one policy whose hidden units the context scales and shifts", "FiLM"),
    "film-paper": _baseline(
        "the same with the settings of HyperZero's baselines", "FiLM", ".paper"
    ),
    "film-wide": _baseline(
        "the same with as many parameters as HyperZero", "FiLM", match_capacity=True, updates=1500
    ),
    "maml": _baseline("initial weights to adapt from, given the context", "MAML"),
    "maml-inner": _baseline(
        "the same, adapted as in its training instead of by cloning", "MAML", few_shot="inner"
    ),
    "maml-paper-500-updates": _baseline(
        "the same as released: 500 outer updates, far from trained", "MAML", ".paper"
    ),
    "pearl": _baseline(
        "one policy that infers the task instead of being told the context",
        "PEARL",
        networks=False,
    ),
    "pearl-paper-500-updates": _baseline(
        "the same with the released sizes and 500 updates, without its label leak",
        "PEARL",
        ".paper",
        networks=False,
    ),
    "pearl-paper-500-updates-leaking": _baseline(
        "the same with its label leak",
        "PEARL",
        ".paper",
        networks=False,
        leaks_labels=True,
    ),
    "interpolation": _baseline("mean weights of the nearest training experts", "Interpolation"),
    "interpolation-actions": _baseline(
        "mean actions of the nearest training experts",
        "Interpolation",
        networks=False,
        blend="actions",
    ),
}
"""Every method that has a name, a line each."""


def make_method(name: str) -> Method:
    """Makes the method of a registered name, or of an import path `mypkg.mymodule:MyMethod`.

    A class or function found by path is called without arguments; anything else is the method.

    Raises:
        ValueError: if there is no such name, or nothing with a `fit` at that path; says why.
    """
    if ":" not in name:
        if name not in METHODS:
            raise ValueError(
                f"unknown method {name!r}, allowed are {sorted(METHODS)} "
                "or an import path such as mypkg.mymodule:MyMethod"
            )
        return METHODS[name].make()
    found = _imported(name)
    if callable(found) and (isinstance(found, type) or not hasattr(found, "fit")):
        try:
            found = found()
        except TypeError as error:
            raise ValueError(f"method {name!r} must work without arguments: {error}") from error
    if not callable(getattr(found, "fit", None)):
        raise ValueError(f"method {name!r} must have `fit(data, *, seed, progress)`, it has none")
    method: Method = found
    return method


def config_of(method: Method) -> dict[str, Any]:
    """The method's `config` as plain values, empty if it has none."""
    config = getattr(method, "config", None)
    if is_dataclass(config) and not isinstance(config, type):
        return asdict(config)
    return dict(config) if isinstance(config, Mapping) else {}


def _imported(path: str) -> Any:
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ValueError(f"an import path must look like mypkg.mymodule:MyMethod, got {path!r}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(f"{path!r}: there is no module {error.name!r}") from error
        raise ValueError(f"{path!r} needs the module {error.name!r}: {error}") from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError as error:
        raise ValueError(f"{path!r}: module {module_name!r} has no {attribute!r}") from error
