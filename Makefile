# Targets for people: test, demo, bench, lint, format, docs. Everything they need is installed into .venv.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: test coverage demo bench lint format docs locales telegram setup clean lock release

setup: $(READY)

# Debian keeps venv in a package of its own; it is installed when it is missing.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV) || { apt-get update -q && apt-get install -qy --no-install-recommends python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(RUN) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(RUN) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Side by side: two or three processes have a laboratory each, where most of the time is waiting; one has the rest.
JOBS ?= 3
test: $(READY) lint
	$(RUN) -m pytest -n $(JOBS) $(ARGS)

# Branches of what decides: access, protocols, money. CI wants 95 % of them (.ci/run).
COVER := --cov=vpnctl/rules --cov=vpnctl/protocols --cov=vpnctl/actions/sales --cov-branch --cov-report=term:skip-covered
coverage: $(READY)
	$(RUN) -m pytest -q -n $(JOBS) --ignore=tests/lab $(COVER)

# make release VERSION=0.2.0: version, changelog section, wheel and sdist that are built twice and compared, SBOM.
release: $(READY)
	$(RUN) -m docs.release $(VERSION)

demo: $(READY)
	$(RUN) -m tests.demo $(ARGS)

# A Bot API on loopback with a phone in the terminal (docs/bot.md).
telegram: $(READY)
	$(RUN) -m tests.telegram

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
	WRITE_SCREENS=1 $(RUN) -m pytest -q tests/telegram/test_screens.py

# Collects the texts that people read, brings them into the catalogues (translate what is new there), compiles them.
LOCALES := vpnctl/texts/locales
locales: $(READY)
	$(VENV)/bin/pybabel -q extract --no-default-keywords -k say -k many:1,2 -k mark -k choice --no-location --sort-output --omit-header \
		-o $(LOCALES)/vpnctl.pot vpnctl/texts/words.py vpnctl/texts/wording.py vpnctl/texts/money_letters.py vpnctl/texts/figures.py vpnctl/texts/reasons.py vpnctl/actions/people/applicants.py vpnctl/actions/sales/booking.py vpnctl/protocols vpnctl/payments bot
	for each in ru fa; do $(VENV)/bin/pybabel -q update -D vpnctl -l $$each --no-fuzzy-matching --ignore-obsolete --no-wrap \
		-i $(LOCALES)/vpnctl.pot -o $(LOCALES)/$$each/LC_MESSAGES/vpnctl.po; done
	rm $(LOCALES)/vpnctl.pot
	sed -i -e '/^"\(Project-Id\|Report-\|PO-Rev\|Last-\|Language-Team\|Generated\)/d' \
		-e 's/^"POT-Creation-Date: .*/"POT-Creation-Date: 2026-01-01 00:00+0000\\n"/' $(LOCALES)/*/LC_MESSAGES/vpnctl.po
	$(VENV)/bin/pybabel -q compile -D vpnctl -d $(LOCALES)
	$(RUN) -m docs.cldr

# Writes requirements.lock anew: exact versions with hashes, no index addresses.
lock:
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install -q pip-tools
	$(VENV)-lock/bin/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--no-header --allow-unsafe --strip-extras --all-extras -o requirements.lock pyproject.toml
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
