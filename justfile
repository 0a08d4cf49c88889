# `just` lists the recipes. The virtual environment is .venv, as the README makes it, or whatever is on PATH.
set shell := ["bash", "-euo", "pipefail", "-c"]
# Three at a time, a file's tests in one process: most of them wait for a process that they started.
pytest := "pytest -n 3 --dist loadfile --no-loadscope-reorder"
export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

_default:
    @{{just_executable()}} --list --unsorted

# The whole recipe on a small model that is made here, with a table and a plot at its end
demo:
    docs/recipes/demo.sh

# All seven stages through pipes in under two minutes; fails where the result is not good enough
smoke:
    docs/recipes/smoke.sh

# A lesson for a class: a model learns to add in five scenes
class:
    docs/recipes/class.sh

# The recipe on SmolLM2-135M and real problems
real:
    docs/recipes/real.sh

# The paper's claims, each checked on a small world: all for three seeds, or `just paper CLAIM SEED`
paper *ARGS:
    docs/recipes/paper/run.sh {{ARGS}}

# The fast tests
test *ARGS:
    python -m {{pytest}} -m "not full" {{ARGS}}

# All tests, also those that need a real model or minutes
test-all *ARGS:
    python -m {{pytest}} {{ARGS}}

# What failed last time, one test after the other
test-failed:
    python -m pytest --last-failed --last-failed-no-failures none

# The pipelines of the README and the tutorial as they are printed, which take 15 minutes or more
test-readme:
    R1_README=1 python -m pytest tests/house/test_docs.py -k "as_printed and (README or tutorial)"

# Style and types
lint:
    ruff check .
    ruff format --check .
    mypy

# Write docs/stages/ anew from the help of each stage, and the pictures of the house from the code
docs:
    python docs/pages.py
    python docs/site/pictures.py

# Record a terminal and take a picture of the report page, for the README: two or three minutes
pictures:
    python docs/site/recording.py

# docs/ as a site in the folder site/, without a warning or not at all
site:
    NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict -f docs/site/mkdocs.yml
    @echo "to read it: python -m http.server -d site"

# Start-up time, records per second, verdicts per second
bench:
    for file in tests/bench/*.py; do echo "== $file"; python "$file"; done

# What a GPU must show before it is trusted (docs/gpu.md); without one the smallest size, on the CPU
gpu *ARGS:
    python tests/gpu/kit.py {{ARGS}}

# What runs inside the sandbox is not measured: nothing of ours may be loaded there. A test may fail where it
# has a limit on files, which coverage's own file breaks; hence the dash.
# Coverage of lines and branches of the program and its stages, the processes they start included
coverage *ARGS='-m "not full"':
    coverage erase
    -coverage run -m {{pytest}} {{ARGS}}
    coverage report --sort=cover
