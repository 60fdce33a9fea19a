# SPDX-License-Identifier: Apache-2.0
# The one place a user needs: `make help`.

PYTHON ?= python3
PY := .venv/bin/python
# bytecode is kept, which halves the time that a bench takes to start, and not beside the sources
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/build/pycache
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH PYTHONHOME # others' modules would come before the pinned ones
unexport PYTHONSAFEPATH # this folder's modules would not be found

RUN := $(PY) -m tools.start
# one word for the shell, whatever is in it
quoted = '$(subst ','\'',$(1))'
# --seed='3' where the user has given SEED: programs have defaults of their own
given = $(if $(filter command environment,$(firstword $(origin $(1)))),--$(2)=$(call quoted,$($(1))))

#: PRESET=tiny|small|base|lean|big: the core (run, verilog, area)
PRESET ?= base
#: CONFIG=rows=4,cols=4,lanes=8: a core of your own instead of a preset (verilog)
CONFIG ?=
#: PREFIX=mine_: what module names start with (verilog)
PREFIX ?=
#: PORTS=fields|packed: payloads as a port per field, or as one vector (verilog)
PORTS ?= fields
#: QUANT=tetra|sun2020|adaptive|hindsight|symmetric|range|stochastic|stochastic-all|luq|static: scales (run)
QUANT ?= tetra
#: BACKEND=rtl|golden: who computes (run)
BACKEND ?= rtl
#: CHECK=all|first|none: jobs compared with the golden model: all, of the first epoch (run)
CHECK ?= all
#: EPOCHS=1..1000 and BATCH=1..1024: how long, in what steps (run)
EPOCHS ?= 12
BATCH ?= 32
#: OUT=folder: where report and summary go (run)
OUT ?= build/run
#: TRACE=first:count: waveform of those jobs (run); TRACE=1: of the one job (replay)
TRACE ?=
#: FILE=mismatch-*.npz: the job, as a training run has recorded it (replay)
FILE ?=
#: SEED=0..4294967295: of a run, of a waveform, the first of a regression (run, wave, regress)
SEED ?=
#: SEEDS=1..100000: how many seeds (regress)
SEEDS ?= 10
#: LENGTH=1..1000: how much of each seed (regress, wave)
LENGTH ?=
#: BLOCK=name: one block alone; a wrong name lists them (regress, wave, formal, synth-verify)
BLOCK ?=
#: CASE=0..: one of the block's configurations alone, as failures name it (regress, wave)
CASE ?=
#: JOBS=1..1024: processes at once (regress, study, synth, synth-check, synth-verify, layout, fpga)
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
#: SCHEDULER=tcp://host:port: a Dask scheduler whose workers do it (regress, study, synth, synth-check, synth-verify, layout, fpga)
SCHEDULER ?=
#: QUICK=1: a subset (study, synth, layout, fpga, random-check)
QUICK ?=
#: KNOWN=1: go on from the committed results of others' machines (study)
KNOWN ?=
#: TESTS=paths, like verif/train, and WORKERS=1..1024 processes (test)
TESTS ?= verif
WORKERS ?= $(JOBS)
#: PYTHON=command: the Python that makes .venv (setup, lock)

.DEFAULT_GOAL := help
.PHONY: help setup run test regress formal random-check wave replay lint verilog area synth synth-check synth-verify layout fpga study study-check bench lock clean

help: ## list every target and setting
	@echo "Tetra: an open 4-bit training core. Targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo "Settings, as in 'make run SEED=3', and the targets that take them:"
	@sed -n 's/^#: /  /p' $(MAKEFILE_LIST)

setup: ## create .venv with the pinned tools (every target does it when needed)
	@$(PYTHON) bootstrap.py

run: setup ## train a network on handwritten digits, 4 bits everywhere, on the simulated RTL
	@$(RUN) train.digits --preset=$(call quoted,$(PRESET)) --quant=$(call quoted,$(QUANT)) \
	  --backend=$(call quoted,$(BACKEND)) --check=$(call quoted,$(CHECK)) $(call given,SEED,seed) \
	  --epochs=$(call quoted,$(EPOCHS)) --batch=$(call quoted,$(BATCH)) \
	  --out=$(call quoted,$(OUT)) $(call given,TRACE,trace)

test: setup ## lint, then the whole test suite (TESTS=path for a part of it)
	@$(RUN) verif.suite --tests=$(call quoted,$(TESTS)) --workers=$(call quoted,$(WORKERS))
	@$(MAKE) --no-print-directory lint
	@$(PY) -m pytest $(foreach path,$(TESTS),$(call quoted,$(path))) -n $(WORKERS)

regress: setup ## the long regression: BLOCK= CASE= SEEDS= SEED= JOBS= LENGTH=
	@$(RUN) verif.regress --block=$(call quoted,$(BLOCK)) --seeds=$(call quoted,$(SEEDS)) \
	  --jobs=$(call quoted,$(JOBS)) --scheduler=$(call quoted,$(SCHEDULER)) $(call given,CASE,case) \
	  $(call given,LENGTH,length) $(call given,SEED,seed)

formal: setup ## prove stream rules, progress and absence of overflow: BLOCK=
	@$(RUN) verif.formal --block=$(call quoted,$(BLOCK))

random-check: setup ## the random words through Debian's dieharder, an hour or so (QUICK=1: some tests)
	@$(RUN) verif.random_check --quick=$(call quoted,$(QUICK))

wave: setup ## run one bench with an FST waveform: BLOCK= CASE= SEED= LENGTH=
	@$(RUN) verif.wave --block=$(call quoted,$(BLOCK)) $(call given,CASE,case) \
	  $(call given,LENGTH,length) $(call given,SEED,seed)

replay: setup ## repeat one job that differed, on the RTL and the golden model: FILE= (TRACE=1: waveform)
	@$(RUN) driver.replay --trace=$(call quoted,$(TRACE)) -- $(call quoted,$(FILE))

lint: setup ## ruff and mypy on the Python, Verilator -Wall on the generated Verilog
	@$(PY) -m ruff check --quiet .
	@$(RUN) mypy --no-error-summary
	@$(RUN) hdl.emit.export --preset tiny --quiet --lint

verilog: setup ## write Verilog, manifest and examples to build/verilog: PRESET= or CONFIG= PREFIX= PORTS=
	@$(RUN) hdl.emit.export $(call given,PRESET,preset) $(call given,CONFIG,config) \
	  --prefix=$(call quoted,$(PREFIX)) --ports=$(call quoted,$(PORTS))

area: setup ## estimate what each block of PRESET= costs, to build/area/summary.json
	@$(RUN) synth.area --preset=$(call quoted,$(PRESET))

synth: setup ## map every design to cells, time it, compare: to build/synth (QUICK=1: a subset)
	@$(RUN) synth --jobs=$(call quoted,$(JOBS)) --scheduler=$(call quoted,$(SCHEDULER)) \
	  --quick=$(call quoted,$(QUICK))

synth-check: setup ## make synth QUICK=1, and fail if a density fell by more than 3 %
	@$(RUN) synth --jobs=$(call quoted,$(JOBS)) --scheduler=$(call quoted,$(SCHEDULER)) --quick --check

synth-verify: setup ## prove mapped blocks equal to their RTL, run benches on gates: BLOCK=
	@$(RUN) verif.gates --block=$(call quoted,$(BLOCK)) --jobs=$(call quoted,$(JOBS)) \
	  --scheduler=$(call quoted,$(SCHEDULER))

layout: setup ## place and route cells of the tile and their rivals, time them with wires (QUICK=1)
	@$(RUN) synth.layout --jobs=$(call quoted,$(JOBS)) --scheduler=$(call quoted,$(SCHEDULER)) \
	  --quick=$(call quoted,$(QUICK))

fpga: setup ## the FPGA part of make synth alone: map, place and route, five seeds each (QUICK=1)
	@$(RUN) synth --fpga --jobs=$(call quoted,$(JOBS)) --scheduler=$(call quoted,$(SCHEDULER)) \
	  --quick=$(call quoted,$(QUICK))

study: setup ## compare recipes of training on real tasks: to build/study (QUICK=1: some minutes; KNOWN=1)
	@$(RUN) train.study --jobs=$(call quoted,$(JOBS)) --scheduler=$(call quoted,$(SCHEDULER)) \
	  --quick=$(call quoted,$(QUICK)) --known=$(call quoted,$(KNOWN))

bench: setup ## measure speed and accuracy, to build/bench/summary.json
	@$(RUN) train.bench

study-check: setup ## a short training on torch kernels, golden model and verilated core, bit for bit
	@$(RUN) train.study.check

lock: ## resolve pyproject.toml anew into requirements.lock
	@$(PYTHON) bootstrap.py --lock

clean: ## remove everything that was built (the environment stays)
	rm -rf build .pytest_cache .ruff_cache .hypothesis
