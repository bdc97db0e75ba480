# The logic lives in .ci/ and not here, so that GNU make 3.81 (macOS) and BSD make read this too.
#
## make app        set up what is missing and start the studio
##                 ARGS="--listen 0.0.0.0:7860" passes flags on; DEVICE=cuda, mps, xla … picks a device
## make test       set up what is missing and run the tests; ARGS="-k lexicon" picks some
## make test-xla   the same in the environment of torch_xla (Linux on x86-64 only)
## make lint       ruff and mypy, as before a commit
## make bench      measure start-up, latency, memory, throughput and models beside others' code of
##                 them; results go to bench/results
## make format     let ruff format the code
## make lock       compile the requirements*.txt anew; ARGS=--upgrade takes the newest releases
## make clean      remove caches and test artefacts
## make clean-env  remove the virtual environments
##
## PYTHON=/path/to/python3.12 picks the Python (3.10 to 3.13) that environments are made with.

PYTHON ?=
DEVICE ?=
ARGS ?=
RUN_PYTHON = PYTHON="$(PYTHON)" sh .ci/python
SETUP = $(RUN_PYTHON) .ci/setup_venv.py
SETUP_DEV = $(SETUP) .venv requirements.txt requirements-dev.txt
SETUP_XLA = $(SETUP) --only linux-x86_64 .venv-xla requirements-xla.txt
SETUP_BENCH = $(SETUP) .venv-bench requirements-bench.txt
BENCHES = startup speech history voices redirect vits spark spark_llm spark_codec xtts
XLA_ENV = env PJRT_DEVICE="$${PJRT_DEVICE:-CPU}"

.PHONY: help app test test-xla lint bench format lock clean clean-env

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

app:
	@if [ "$(DEVICE)" = xla ]; then \
		$(SETUP_XLA) && exec $(XLA_ENV) .venv-xla/bin/python app.py --device xla $(ARGS); \
	else \
		device="$(DEVICE)"; \
		$(SETUP) .venv requirements.txt && \
		exec .venv/bin/python app.py $${device:+--device "$$device"} $(ARGS); \
	fi

test:
	@$(SETUP_DEV)
	@.venv/bin/python -m pytest $(ARGS)

test-xla:
	@$(SETUP_XLA) requirements-dev.txt
	@$(XLA_ENV) .venv-xla/bin/python -m pytest tests/xla $(ARGS)

lint:
	@$(SETUP_DEV)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench:
	@$(SETUP_DEV)
	@$(SETUP_BENCH)
	@missed=; for name in $(BENCHES); do \
		.venv/bin/python -m bench.$$name || missed="$$missed $$name"; \
	done; \
	if [ -n "$$missed" ]; then echo "Goals are missed, or nothing was measured, in:$$missed"; exit 1; fi

format:
	@$(SETUP_DEV)
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock:
	@$(RUN_PYTHON) .ci/lock.py $(ARGS)

clean:
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis artifacts
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

clean-env:
	@rm -rf .venv .venv-bench .venv-xla
