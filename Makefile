# From a bare clone: `make zero-shot` shows a leaderboard, `make test` runs the tests. Each first
# makes the virtual environment, once. Variables can be set on the command line:
#   make test VENV=/tmp/venv PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
EXTRAS ?= zeroshot,dev
PIP_FLAGS ?=

SUITE ?= cheetah-speed
METHODS ?= hyperzero,conditioned
SEEDS ?= 5
OUT ?= results/$(SUITE)

WORKERS ?= auto
PYTEST_FLAGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OFFSCREEN := $(VENV)/.offscreen
# Plain tests share the cores by process; pytest-benchmark's timings would be meaningless there.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:benchmark \
	-n $(WORKERS) --maxprocesses 4 --dist worksteal $(PYTEST_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help venv zero-shot results test test-all lint types benchmarks offscreen clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## the virtual environment, installed by the constraints file

$(INSTALLED): setup.cfg pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make ... PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv failed (Debian and Ubuntu: install python3-venv)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c $(CONSTRAINTS) \
		-e '.$(if $(EXTRAS),[$(EXTRAS)])'
	@touch $@

$(VENV)/.installed-all: $(INSTALLED)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c $(CONSTRAINTS) -e '.[$(EXTRAS),test-all]'
	@touch $@

zero-shot: $(INSTALLED) ## HyperZero on speeds it never saw, and the leaderboard
	$(BIN)/zeroshot run $(SUITE) --methods $(METHODS) --seeds $(SEEDS) --out $(OUT) --resume

results: $(INSTALLED) ## the README's tables and pictures, from runs of two suites, and pages that quote them
	$(MAKE) zero-shot SUITE=cheetah-speed OUT=results/cheetah-speed
	$(MAKE) zero-shot SUITE=cheetah-speed-reach OUT=results/cheetah-speed-reach
	$(BIN)/python docs/results.py results/cheetah-speed results/cheetah-speed-reach
	$(BIN)/python docs/leaderboard.py
	$(BIN)/python docs/hyperzero.py

test: $(INSTALLED) $(OFFSCREEN) ## the tests, without the slow ones
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed-all $(OFFSCREEN) ## all tests, with Ray, Minari's collector and a browser where there is one
	$(PYTEST)

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## mypy
	$(BIN)/mypy

benchmarks: $(INSTALLED) ## speed as ratios, zero-shot leaderboards (`pytest benchmarks/ --quick`, `--full`)
	$(BIN)/python -m pytest benchmarks/

offscreen: $(OFFSCREEN) ## check off-screen rendering, and install EGL if this is root on Debian

# One frame tells whether there is a library to render with. Nothing is skipped where there is none:
# the tests that render fail, and say which package is missing.
$(OFFSCREEN): $(INSTALLED)
	@frame='import gymnasium; e = gymnasium.make("param_envs:ParamCheetah-v0", render_mode="rgb_array"); e.reset(); e.render()'; \
	if ! $(BIN)/python -c "$$frame" >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing EGL for off-screen rendering"; \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends \
				libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0 >/dev/null; \
		fi; \
		$(BIN)/python -c "$$frame" || { \
			echo "no off-screen rendering: the tests that render will fail. Install libegl1, or" >&2; \
			echo "libosmesa6 and set MUJOCO_GL=osmesa." >&2; exit 0; }; \
	fi; \
	touch $@

clean: ## removes the virtual environment and caches, keeps results/
	rm -rf $(VENV) .venv-ci* .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -rf build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
