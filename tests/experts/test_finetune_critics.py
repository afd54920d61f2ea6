"""The critics of a fine-tuning, what normalises and trains them; SB3's own, from random weights."""

import inspect
import json
import lzma
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import SAC
from torch import nn

from experts.finetune_config import FineTuneConfig
from tests.experts.test_finetune import TINY, filled, made


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.children()]


def test_critics_are_normalised_before_each_relu_and_their_targets_too() -> None:
    config = replace(TINY, critic_hidden=(8, 6))
    model = made(config)
    normed = ["Linear", "LayerNorm", "ReLU", "Linear", "LayerNorm", "ReLU", "Linear"]
    for critics in (model.critic, model.critic_target):
        assert [kinds(network) for network in critics.q_networks] == [normed] * 2
        assert [critics.qf0, critics.qf1] == critics.q_networks
    plain = made(replace(config, critic_norm=False))
    assert kinds(plain.critic.qf0) == [kind for kind in normed if kind != "LayerNorm"]
    assert not config.plain().critic_norm and not config.paper().critic_norm


def test_a_value_does_not_depend_on_the_size_of_what_a_layer_puts_out() -> None:
    model = made()
    network: Any = model.critic.qf0
    inputs = torch.randn(5, network[0].in_features, generator=torch.Generator().manual_seed(0))
    before = network(inputs)
    with torch.no_grad():
        network[0].weight.mul_(1000.0)
        network[0].bias.mul_(1000.0)
    torch.testing.assert_close(network(inputs), before, atol=1e-3, rtol=1e-3)


def test_all_layers_of_the_critics_are_trained_and_followed() -> None:
    model = filled(replace(TINY, td_weight=0.0))
    own = {name: value.clone() for name, value in model.critic.state_dict().items()}
    followed = {name: value.clone() for name, value in model.critic_target.state_dict().items()}
    assert own.keys() == followed.keys() and any("qf1.1" in name for name in own)
    model.train(20, batch_size=8)
    for name, value in model.critic.state_dict().items():
        if "qf" in name:
            assert not torch.equal(value, own[name]), name
            assert not torch.equal(model.critic_target.state_dict()[name], followed[name]), name


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_plain_has_sb3s_hyperparameters_whatever_the_preset(preset: str) -> None:
    given = FineTuneConfig.named(preset)
    plain = given.plain()
    model = made(replace(plain, buffer_size=200), start=None)
    own = {name: each.default for name, each in inspect.signature(SAC).parameters.items()}
    for name in ("learning_rate", "batch_size", "tau", "gamma", "gradient_steps"):
        assert getattr(model, name) == own[name], name
    assert plain.buffer_size == own["buffer_size"]
    assert model.policy_rate == own["learning_rate"]
    sb3 = SAC("MlpPolicy", model.get_env(), buffer_size=200, device="cpu")
    for ours, theirs in ((model.actor, sb3.actor), (model.critic, sb3.critic)):
        assert str(ours) == str(theirs), "the same layers"
    assert model.learning_starts == plain.collect_steps == given.collect_steps
    assert own["learning_starts"] == 100, "as the documents say"


def test_published_runs_from_random_weights_are_plain() -> None:
    folder = Path(__file__).parents[2] / "docs" / "results" / "genhyper" / "rows" / "finetuning"
    wanted = json.loads(json.dumps(asdict(FineTuneConfig().plain())))
    found = 0
    for file in folder.glob("*.jsonl.xz"):
        with lzma.open(file, "rt", encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                if record.get("start") == "scratch":
                    assert record["config"] == wanted, file
                    found += 1
    assert found
