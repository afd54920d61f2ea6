import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from zeroshot.methods import METHODS, config_of, make_method
from zeroshot.protocol import Fitted, Method, Policies


@pytest.mark.parametrize("name", METHODS)
def test_every_registered_method_is_one(name: str) -> None:
    method = make_method(name)
    assert isinstance(method, Method)
    config = config_of(method)
    assert config, "a registered method carries its config"
    for field, value in METHODS[name].changes.items():
        assert config[field] == value
    assert METHODS[name].doc


def test_ablations_and_presets_differ_from_the_default() -> None:
    configs = {name: config_of(make_method(name)) for name in METHODS}
    assert configs["hyperzero-without-td"]["td_weight"] == 0.0
    assert configs["hyperzero-without-td"]["value_weight"] > 0.0
    assert configs["hyperzero-without-value"]["value_weight"] == 0.0
    for name in ("hyperzero", "conditioned"):
        assert configs[f"{name}-paper"] != configs[name]


@pytest.mark.parametrize("attribute", ["Mean", "mean", "Slow"])
def test_a_users_class_or_instance_runs_by_import_path(user_module: str, attribute: str) -> None:
    method = make_method(f"{user_module}:{attribute}")
    assert isinstance(method, Method)
    assert config_of(method) == {"seconds": 0.3 if attribute == "Slow" else 0.0}


def test_a_method_of_two_verbs_needs_no_base_class() -> None:
    class Mine:
        def fit(self, data, *, seed, progress=None):  # type: ignore[no-untyped-def]
            return self

        def policies(self, contexts):  # type: ignore[no-untyped-def]
            return self

        def act(self, observations):  # type: ignore[no-untyped-def]
            return observations

    mine = Mine()
    assert isinstance(mine, Method) and isinstance(mine, Fitted) and isinstance(mine, Policies)
    assert config_of(mine) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nope", r"unknown method 'nope', allowed are \['conditioned'.* or an import path such as"),
        ("mypkg.mymodule:Nope", "module 'mypkg.mymodule' has no 'Nope'"),
        ("mypkg.nope:Mean", r"there is no module 'mypkg\.nope'"),
        ("nopkg.mymodule:Mean", "there is no module 'nopkg'"),
        ("mypkg.mymodule:", "an import path must look like mypkg.mymodule:MyMethod"),
        (":Mean", "an import path must look like"),
        ("mypkg.mymodule:NoFit", r"must have `fit\(data, \*, seed, progress\)`"),
        ("mypkg.mymodule:NeedsArguments", "must work without arguments: .*'size'"),
        ("mypkg.needs:Mean", "needs the module 'not_installed'"),
    ],
)
def test_a_bad_name_says_what_is_wrong(user_module: str, name: str, text: str) -> None:
    (Path(sys.path[0]) / "mypkg" / "needs.py").write_text("import not_installed\n")
    with pytest.raises(ValueError, match=text):
        make_method(name)


def test_configs_become_plain_values() -> None:
    @dataclass(frozen=True)
    class Config:
        sizes: tuple[int, ...] = (3, 4)

    class WithConfig:
        config = Config()

    class WithClass:
        config = Config

    assert config_of(WithConfig()) == {"sizes": (3, 4)}  # type: ignore[arg-type]
    assert config_of(WithClass()) == {}  # type: ignore[arg-type]


def test_the_registry_imports_nothing_before_it_is_asked() -> None:
    import subprocess

    code = "import sys, zeroshot.methods; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
