"""Imports point one way: to the left in the packages' order, and heavy libraries stay in place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEFT_OF = {
    "param_envs": set(),
    "experts": {"param_envs"},
    "baselines": {"param_envs", "experts"},
    "hyper": {"param_envs", "experts"},
    "zeroshot": {"param_envs", "experts", "baselines", "hyper"},
}
"""Which of our packages a package may import. `benchmarks` and `tests` may import all of them."""

SCIENTIFIC = {"numpy", "mujoco", "gymnasium", "packaging"}
LEARNING = SCIENTIFIC | {"torch"}
THIRD_PARTY = {
    "param_envs": SCIENTIFIC,
    "experts": LEARNING | {"stable_baselines3", "safetensors", "rich", "minari", "ray"},
    "baselines": LEARNING,
    "hyper": LEARNING,
    "zeroshot": LEARNING | {"scipy", "matplotlib", "tyro", "rich", "imageio"},
}
"""Which other libraries a package may import. dm_control and its models are read as data."""

PLOTTED = ("figures", "audit_figures", "finetune_figures", "grid_figures")
PLOTTING = {f"zeroshot/{name}.py" for name in PLOTTED}
"""The only files that may import matplotlib."""


def modules(package: str) -> list[Path]:
    """The source files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path, *, at_module_level: bool = False) -> Iterator[str]:
    """Dotted names that a file imports; with `at_module_level` only those that always run."""
    tree = ast.parse(path.read_text(), filename=str(path))
    nodes = _unconditional(tree) if at_module_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the absolute name"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _unconditional(node: ast.AST) -> Iterator[ast.AST]:
    """Statements that run on import: nothing inside functions or `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _unconditional(child)


def roots(path: Path) -> set[str]:
    """First components of all imported names, without the standard library."""
    return {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names


@pytest.mark.parametrize("package", LEFT_OF)
def test_imports_point_to_the_left(package):
    for path in modules(package):
        ours = roots(path) & {*LEFT_OF, "benchmarks", "tests"}
        allowed = LEFT_OF[package] | {package}
        assert ours <= allowed, f"{path} imports {sorted(ours - allowed)}"


@pytest.mark.parametrize("package", LEFT_OF)
def test_third_party_libraries_stay_in_their_packages(package):
    for path in modules(package):
        others = roots(path) - set(LEFT_OF)
        assert others <= THIRD_PARTY[package], (
            f"{path} imports {sorted(others - THIRD_PARTY[package])}"
        )


def test_only_plotting_modules_import_matplotlib():
    found = {
        path.relative_to(ROOT).as_posix()
        for package in LEFT_OF
        for path in modules(package)
        if "matplotlib" in roots(path)
    }
    assert found == PLOTTING


def test_there_is_no_cycle_of_imports():
    names = {_dotted(path): path for package in LEFT_OF for path in modules(package)}
    edges = {
        name: {target for target in imports(path, at_module_level=True) if target in names} - {name}
        for name, path in names.items()
    }
    # A package's __init__ re-exports its own modules, which import siblings by their full names.
    inside = {
        name: {t for t in targets if not (name.startswith(f"{t}.") and names[t].stem == "__init__")}
        for name, targets in edges.items()
    }
    done: set[str] = set()
    while ready := {n for n, targets in inside.items() if n not in done and targets <= done}:
        done |= ready
    assert done == set(inside), f"cycle among {sorted(set(inside) - done)}"


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("param_envs", ["torch", "stable_baselines3", "matplotlib", "scipy", "dm_control"]),
        ("experts", ["torch", "stable_baselines3"]),
        ("zeroshot.statistics", ["matplotlib"]),
        ("zeroshot.cli", ["matplotlib"]),
    ],
)
def test_import_leaves_heavy_libraries_unloaded(module, absent):
    code = f"import sys, {module}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_the_check_itself_sees_hidden_imports(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import os.path\ndef f():\n    from torch.nn import Linear\n    return Linear\n"
    )
    assert roots(path) == {"torch"}
    assert list(imports(path, at_module_level=True)) == ["os.path"]
