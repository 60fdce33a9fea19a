# SPDX-License-Identifier: Apache-2.0
# The one place a user needs: `make help`.

PYTHON ?= python3
PY := .venv/bin/python
export PYTHONDONTWRITEBYTECODE ?= 1
unexport PYTHONPATH PYTHONHOME # others' modules would come before the pinned ones

# make run
PRESET ?= base
QUANT ?= adaptive
BACKEND ?= rtl
CHECK ?= all
SEED ?= 0
EPOCHS ?= 20
BATCH ?= 32
OUT ?= build/run
TRACE ?=
# make regress, make wave
BLOCK ?=
FILE ?=
SEEDS ?= 10
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
LENGTH ?= 5
# make synth, fpga, random-check
QUICK ?=
# make test
TESTS ?= verif
WORKERS ?= $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help setup run test regress formal random-check wave replay lint verilog area synth synth-check synth-verify fpga bench lock clean

help: ## list every target
	@echo "Tetra: an open 4-bit training core. Targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo "Settings, as in 'make run SEED=3': run: PRESET= BACKEND=rtl|golden CHECK=all|first|none"
	@echo "QUANT=adaptive|hindsight|symmetric|range|stochastic|stochastic-all|luq|static"
	@echo "SEED= EPOCHS= BATCH= TRACE=first:count OUT="
	@echo "regress: BLOCK= SEEDS= SEED= JOBS= LENGTH=; synth, fpga: QUICK=1 JOBS="

setup: ## create .venv with the pinned tools (every target does it when needed)
	@$(PYTHON) bootstrap.py

run: setup ## train a network on handwritten digits, 4 bits everywhere, on the simulated RTL
	@$(PY) -m train.digits --preset "$(PRESET)" --quant $(QUANT) --backend $(BACKEND) \
	  --check $(CHECK) --seed $(SEED) --epochs $(EPOCHS) --batch $(BATCH) --out "$(OUT)" \
	  $(if $(TRACE),--trace $(TRACE))

test: setup ## lint, then the whole test suite (TESTS=path for a part of it)
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest $(TESTS) -n $(WORKERS)

regress: setup ## the long regression: BLOCK= SEEDS= SEED= JOBS= LENGTH=
	@$(PY) -m verif.regress --block "$(BLOCK)" --seeds $(SEEDS) --jobs $(JOBS) \
	  --length $(LENGTH) $(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

formal: setup ## prove stream rules, progress and absence of overflow: BLOCK=
	@$(PY) -m verif.formal --block "$(BLOCK)"

random-check: setup ## the random words through Debian's dieharder, an hour or so (QUICK=1: some tests)
	@$(PY) -m verif.random_check $(if $(filter 1,$(QUICK)),--quick)

wave: setup ## run one bench with an FST waveform: BLOCK=
	@$(PY) -m verif.wave --block "$(BLOCK)" \
	  $(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

replay: setup ## repeat one job that differed, on the RTL and the golden model: FILE=
	@$(PY) -m driver.replay "$(FILE)"

lint: setup ## ruff and mypy on the Python, Verilator -Wall on the generated Verilog
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy --no-error-summary
	@$(PY) -m hdl.emit.export --preset tiny --quiet

verilog: setup ## write Verilog and manifest.json for PRESET= to build/verilog
	@$(PY) -m hdl.emit.export --preset "$(PRESET)"

area: setup ## estimate what each block of PRESET= costs, to build/area/summary.json
	@$(PY) -m synth.area --preset "$(PRESET)"

synth: setup ## map every design to cells, time it, compare: to build/synth (QUICK=1: a subset)
	@$(PY) -m synth --jobs $(JOBS) $(if $(filter 1,$(QUICK)),--quick)

synth-check: setup ## make synth QUICK=1, and fail if a density fell by more than 3 %
	@$(PY) -m synth --jobs $(JOBS) --quick --check

synth-verify: setup ## prove mapped blocks equal to their RTL, run benches on gates: BLOCK=
	@$(PY) -m verif.gates --block "$(BLOCK)" --jobs $(JOBS)

fpga: setup ## the FPGA part of make synth alone: map, place and route, five seeds each (QUICK=1)
	@$(PY) -m synth --fpga --jobs $(JOBS) $(if $(filter 1,$(QUICK)),--quick)

bench: setup ## measure speed and accuracy, to build/bench/summary.json
	@$(PY) -m train.bench

lock: ## resolve pyproject.toml anew into requirements.lock
	@$(PYTHON) bootstrap.py --lock

clean: ## remove everything that was built (the environment stays)
	rm -rf build .pytest_cache .ruff_cache .hypothesis
