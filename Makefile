# Targets for people: test, demo, bench, lint, format, docs. Everything they need is installed into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: test demo bench lint format docs setup clean lock

setup: $(READY)

# Debian keeps venv in a package of its own; it is installed when it is missing.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV) || { apt-get update -q && apt-get install -qy --no-install-recommends python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(RUN) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

test: $(READY) lint
	$(RUN) -m pytest $(ARGS)

demo: $(READY)
	$(RUN) -m tests.demo

bench: $(READY)
	$(RUN) -m bench $(ARGS)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# docs/cli.md and docs/configuration.md are made from the program; a test compares them.
docs: $(READY)
	$(RUN) -m docs.generate

# Writes requirements.lock anew: exact versions with hashes, no index addresses.
lock:
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install -q pip-tools
	$(VENV)-lock/bin/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-header --allow-unsafe --strip-extras --extra dev --extra postgres -o requirements.lock pyproject.toml
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
