"""A stage as a typer command: its flags, its settings, its run and its product.

Values come from, in rising order: the signature's defaults, the recipe, the configuration file, the flags.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from r1cli import config, helptext
from r1cli.signature import REQUIRED, Option, Stage
from stages.settings.options import Doc, Flag

COMMON = "Every stage"
# Names that no stage can give an option, as they begin with an underscore.
RENAMED, GIVEN, CONFIG, RESUME, QUIET, VERBOSE, PLAIN, OUTPUT, JSON, FILES, HELP = (
    "_renamed",
    "_given",
    "_config",
    "_resume",
    "_quiet",
    "_verbose",
    "_no_color",
    "_output",
    "_json",
    "_files",
    "_help",
)


class StageCommand(typer.core.TyperCommand):
    """A command whose unset options are looked up in its configuration file and recipe."""

    stage: Stage
    stages: Collection[str] = ()
    renamed: Sequence[str] = ()  # notes on old names that were given
    given: frozenset[str] = frozenset()  # the options that the user gave, also with their default

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = self.make_parser(ctx).parse_args(args=list(args))[0]
        if not given.get(HELP):
            path = given.get(CONFIG)
            values, keys = config.load(path, self.stage, self.stages) if path else ({}, set())
            ctx.default_map = self._over_recipe(values, given)
            words = {word.partition("=")[0] for word in args}
            self.renamed = renamed(self.stage, words | keys)
        rest = super().parse_args(ctx, args)
        sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
        self.given = frozenset(
            name for name, source in sources.items() if source and source.name != "DEFAULT"
        )
        return rest

    def _over_recipe(self, values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        if not self.stage.recipes:
            return values
        default = next(option.default for option in self.stage.options if option.name == "recipe")
        name = given.get("recipe") or values.get("recipe") or default
        return config.recipe_values(self.stage, name) | values

    def format_help(self, ctx: Any, formatter: Any) -> None:
        options = (*self.stage.options, *common_options(self.stage))
        formatter.write(helptext.of_stage(self.stage, options, width=helptext.width()))


def build(
    stage: Stage,
    *,
    stages: Collection[str],
    perform: Callable[[dict[str, Any]], int],
    show: Callable[[str], None],
) -> Any:
    """The typer command of `stage`. `perform` runs it and returns the exit code; `show` prints help."""

    def print_help(ctx: typer.Context, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            show(ctx.get_help() + "\n")
            raise typer.Exit

    def callback(**values: Any) -> int:
        return perform({**values, RENAMED: command.renamed, GIVEN: command.given})

    parameters = [_argument(option) for option in stage.arguments]
    if stage.reads != "no":
        files = typer.Argument(metavar="[FILE]...", show_default=False)
        parameters.append(_parameter(FILES, Annotated[list[str], files], []))
    parameters += [_flag(option) for option in (*stage.options, *common_options(stage))]
    show_help = typer.Option("--help", "-h", is_eager=True, expose_value=False, callback=print_help)
    parameters.append(_parameter(HELP, Annotated[bool, show_help], False))
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(stage.name, cls=StageCommand, help=stage.text, add_help_option=False)(callback)
    made = typer.main.get_command(app)
    assert isinstance(made, StageCommand)
    command = made
    command.stage, command.stages = stage, stages
    return command


def common_options(stage: Stage) -> tuple[Option, ...]:
    """The options that the program adds to a stage's own."""

    def common(name: str, base: Any, flag: Flag, doc: Doc) -> Option:
        return Option(
            name=name,
            base=base,
            repeatable=False,
            optional=base is not bool,
            default=False if base is bool else None,
            help=doc.documentation,
            flags=flag.names,
            metavar=flag.metavar or "",
            panel=COMMON,
        )

    found = []
    if stage.product in ("records", "text", "results") and not stage.has("out"):
        doc = Doc("Write to FILE, which appears whole; .gz and .zst by its extension.")
        found.append(common(OUTPUT, str, Flag("-o", "--output", metavar="FILE"), doc))
    if stage.product == "checkpoint":
        found.append(common(JSON, bool, Flag("--json"), Doc("Print the manifest, not the path.")))
    doc = Doc("TOML file of option values; flags win over it.")
    found.append(common(CONFIG, str, Flag("--config", metavar="FILE"), doc))
    doc = Doc("Go on with an unfinished run of this command.")
    found += [
        common(RESUME, bool, Flag("--resume"), doc),
        common(QUIET, bool, Flag("-q", "--quiet"), Doc("Only errors on stderr.")),
        common(VERBOSE, bool, Flag("-v", "--verbose"), Doc("Settings and tracebacks on stderr.")),
        common(PLAIN, bool, Flag("--no-color"), Doc("No colours; NO_COLOR does the same.")),
    ]
    return tuple(found)


def _argument(option: Option) -> inspect.Parameter:
    kind: Any = list[option.base] if option.repeatable else option.base  # type: ignore[name-defined]
    info = typer.Argument(metavar=option.name.upper(), help=option.help)
    return _parameter(option.name, Annotated[kind, info], option.default)


def _flag(option: Option) -> inspect.Parameter:
    kind: Any = list[option.base] if option.repeatable else option.base  # type: ignore[name-defined]
    if option.optional and not option.repeatable:
        kind = kind | None
    info = typer.Option(*spellings(option), help=option.help, rich_help_panel=option.panel)
    default = list(option.default) if option.repeatable and not option.required else option.default
    return _parameter(option.name, Annotated[kind, info], default)


def spellings(option: Option) -> list[str]:
    """The flags as typer wants them: a switch that is on, or may be unset, can also be turned off."""
    flags = list(option.flags)
    if option.base is bool and option.default is not False:
        long = next(i for i, flag in enumerate(flags) if flag.startswith("--"))
        if "/" not in flags[long]:
            flags[long] += f"/--no-{flags[long].removeprefix('--')}"
    return [*flags, *option.aliases, *option.renamed]


def renamed(stage: Stage, given: Collection[str]) -> list[str]:
    """A note on each old name of an option among the flags `given`."""
    return [
        f"{old} is called {option.flags[-1]} now; the old name works in this version only"
        for option in stage.options
        for old in option.renamed
        if old in given
    ]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    found = inspect.Parameter.empty if default is REQUIRED else default
    return inspect.Parameter(name, kind, default=found, annotation=annotation)
