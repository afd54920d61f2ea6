"""The repository as a whole: what is tracked, what is pinned, and that the README is true."""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.metadata
import importlib.util
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("param_envs", "experts", "baselines", "hyper", "zeroshot")
MAX_FILE_BYTES = 5_000_000
MAX_LINES = 400
GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "lib", "core"}
UNPICKLERS = {"pickle", "cloudpickle", "joblib", "dill", "shelve"}


@cache
def tracked() -> tuple[Path, ...]:
    """Files that git tracks, or in an unpacked archive all files outside hidden folders."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        files = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        files = [p for p in ROOT.rglob("*") if not any(x.startswith(".") for x in p.parts)]
    return tuple(path for path in files if path.is_file())


def sources() -> list[Path]:
    """All Python files."""
    return [path for path in tracked() if path.suffix == ".py"]


@cache
def settings() -> configparser.ConfigParser:
    """setup.cfg."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements() -> dict[str, list[Requirement]]:
    """What setup.cfg asks for: extra to requirements, "" for those that are always installed."""
    sections = {"": settings()["options"]["install_requires"]}
    sections.update(settings()["options.extras_require"])
    return {
        extra: [Requirement(line) for line in text.splitlines() if line.strip()]
        for extra, text in sections.items()
    }


def pins(name: str) -> dict[str, Version]:
    """A constraints file: canonical name to version."""
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{name}: {line} is not pinned"
            found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


def readme_blocks(language: str) -> list[str]:
    """The README's fenced blocks in a language."""
    text = (ROOT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


# ------------------------------------------------------------------------------------ files


def test_no_tracked_file_is_large():
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked()}
    large = {name: size for name, size in large.items() if size > MAX_FILE_BYTES}
    assert not large


def test_files_are_named_by_their_subject():
    assert not [p for p in sources() if p.stem.strip("_") in GRAB_BAGS]


def test_files_have_one_subject():
    lengths = {str(p.relative_to(ROOT)): p.read_text().count("\n") for p in sources()}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_results_and_pages_name_no_folder_of_one_machine():
    machine = re.compile(r"(?<![\w.])/(tmp|work|root|home)/")
    written = [*ROOT.glob("docs/results/**/*.json"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    assert len(written) > 40
    assert not [str(p.relative_to(ROOT)) for p in written if machine.search(p.read_text())]


def test_nothing_is_left_unfinished():
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError")
    mine = Path(__file__)
    assert not [p for p in sources() if p != mine and marks.search(p.read_text())]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed_and_say_what_they_export(package):
    assert (ROOT / package / "py.typed").is_file()
    module = importlib.import_module(package)
    assert module.__doc__
    assert sorted(module.__all__) == sorted(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_unpickled(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & UNPICKLERS, where
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in UNPICKLERS, where
            elif isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "torch.load", where
                assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}, where


# ------------------------------------------------------------------------- names and versions


def test_commands_resolve():
    scripts = settings()["options.entry_points"]["console_scripts"].split("\n")
    targets = [line.split("=")[1].strip() for line in scripts if line.strip()]
    assert targets
    for target in targets:
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_constraints_pin_what_is_asked_for():
    pinned = pins("constraints.txt")
    for extra in ("", "zeroshot", "dev", "minari", "ray", "browser", "test-all"):
        for requirement in requirements()[extra]:
            name = canonicalize_name(requirement.name)
            assert name in pinned, f"{requirement} is not pinned"
            assert requirement.specifier.contains(pinned[name]), f"{requirement}: {pinned[name]}"
    assert str(pinned["torch"]) == "2.13.0"


def test_constraints_cover_both_ends_of_mujoco():
    newest, oldest = pins("constraints.txt"), pins("constraints-mujoco-3.3.txt")
    assert (str(newest["mujoco"]), str(oldest["mujoco"])) == ("4.0.0", "3.3.0")
    for requirement in requirements()[""]:
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(oldest[name]), f"{requirement}: {oldest[name]}"


def test_constraints_pin_all_that_is_installed_with_them():
    pinned = {**pins("constraints-mujoco-3.3.txt"), **pins("constraints.txt")}
    wanted, seen = [requirements()[""]], set()
    while wanted:
        for requirement in wanted.pop():
            name = canonicalize_name(requirement.name)
            if name in seen or (requirement.marker and not requirement.marker.evaluate()):
                continue
            seen.add(name)
            asked = importlib.metadata.requires(requirement.name) or []
            wanted.append([Requirement(line) for line in asked if "extra ==" not in line])
    # What builds of torch for a GPU bring along is pinned by torch itself.
    accelerated = {name for name in seen if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert seen - accelerated <= set(pinned)


def test_the_citation_has_the_version():
    citation = (ROOT / "CITATION.cff").read_text()
    version = settings()["metadata"]["version"]
    assert f"\nversion: {version}\n" in citation
    assert f"\nlicense: {settings()['metadata']['license']}\n" in citation
    assert "Apache License" in (ROOT / "LICENSE").read_text()


# ------------------------------------------------------------------------------------ README


def test_readme_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = readme_blocks("python")
    assert blocks
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


def test_readme_lists_every_family_as_it_is():
    from param_envs import FAMILIES

    text = (ROOT / "README.md").read_text()
    for env_id, family in FAMILIES.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{env_id}`"))
        for feature in family.features:
            assert f"`{feature.name}` [{feature.low:.4g}, {feature.high:.4g}]" in row
        assert f"| {family.max_episode_steps} |" in row


def test_readme_pictures_and_links_exist():
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", text)
    for target in {a or b for a, b in targets}:
        assert (ROOT / target).exists(), f"README.md refers to {target}"


def test_readme_make_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(readme_blocks("bash")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_readme_method_of_ones_own_works():
    from experts import collect, load_experts, play, zoo_path

    (block,) = (text for text in readme_blocks("python") if "class NearestExpert" in text)
    names: dict[str, object] = {"__name__": "mymethod"}
    exec(compile(block, "README.md", "exec"), names)
    experts = load_experts(zoo_path("cheetah-speed"))
    training = experts.select(range(0, len(experts), 2))
    data = collect(training, features=("speed",), noise=(0.0,), seed=0, n_steps=5)
    policies = names["NearestExpert"]().fit(data, seed=0).policies(data.contexts)
    settings = {"reward": "track", "n_episodes": 1, "seed": 0, "n_steps": 5}
    found = play(policies, data.family, data.contexts, **settings)
    own = play(training.policies, data.family, data.contexts, **settings)
    assert (found.returns == own.returns).all()


def test_results_are_written_between_the_markers(tmp_path):
    specification = importlib.util.spec_from_file_location("results", ROOT / "docs" / "results.py")
    results = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(results)
    run = tmp_path / "run"
    run.mkdir()
    row = {"return": 800.4, "ratio": 0.987, "score": 0.95, "ci": [0.94, 0.96], "fit_seconds": 30.2}
    summary = {
        "suite": "some-suite",
        "complete": True,
        "n_test": 6,
        "episodes": 10,
        "seeds": [0, 1],
        "command": "/somewhere/bin/zeroshot run some-suite --seeds 2",
        "commit": "0123456789abcdef",
        "date": "2026-01-02T03:04:05+00:00",
        "wall_seconds": 299.9,
        "machine": {"cores": 2, "processor": "x86_64"},
        "versions": {"mujoco": "4.0.0", "torch": "2.13.0", "python": "3.11.7"},
        "methods": {
            "hyperzero": {"kind": "method", **row},
            "best-training": {"kind": "reference", **row},
        },
        "score_ci": {"hyperzero": [0.9, 0.99]},
    }
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "return-versus-context.png").write_bytes(b"picture")
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{results.BEGIN}\nold\n{results.END}\nbelow\n")
    results.write([run], tmp_path)
    text = readme.read_text()
    assert "old" not in text and text.startswith("above\n") and text.endswith("below\n")
    assert "| **hyperzero** | 800 | 0.987 | 0.95 | [0.90, 0.99] | 30 s |" in text
    assert "| *best training* | 800 | 0.987 | 0.95 | [-, -] |  |" in text
    assert "`zeroshot run some-suite --seeds 2` at commit 0123456789ab on 2026-01-02" in text
    assert json.loads((tmp_path / "docs" / "results" / "some-suite.json").read_text()) == summary
    assert (tmp_path / "docs" / "images" / "some-suite.png").read_bytes() == b"picture"
    summary["complete"] = False
    (run / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(ValueError, match="the run of some-suite is not complete"):
        results.write([run], tmp_path)
    assert readme.read_text() == text
