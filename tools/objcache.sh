#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# objcache.sh FOLDER COMPILER ARGUMENT...
#
# Runs the compiler. Objects of Verilator's own library, which are the same for every model that is
# compiled alike and take longer than most models, are compiled once and kept in FOLDER with their
# checksums. Verilator's makefile calls it as $(OBJCACHE).
folder=$1
shift
case "$*" in
  */include/verilated*.cpp) ;;
  *) exec "$@" ;;
esac

object= before= command=
for word; do
  [ "$before" = -o ] && object=$word
  before=$word
  case $word in
    -D[!V]*) ;; # a harness's own: what the library reads starts with V
    *) command="$command $word" ;;
  esac
done
[ -n "$object" ] || exec "$@"
kept=$folder/$(printf %s "$command" | sha256sum | cut -c1-20)
if sum=$(cat "$kept.sum" 2>/dev/null) && [ "$sum" = "$(sha256sum <"$kept.o" 2>/dev/null)" ]; then
  exec cp "$kept.o" "$object"
fi
"$@" || exit
# another process may do the same at the same time: whole files take each other's place. A model is
# complete without them, wherever they cannot be kept.
if cp "$object" "$kept.o.$$" 2>/dev/null; then
  mv "$kept.o.$$" "$kept.o" && sha256sum <"$kept.o" >"$kept.sum.$$" && mv "$kept.sum.$$" "$kept.sum"
fi
exit 0
