"""What would end a distillation before it costs: looked over before a model is loaded or a file made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stages.evaluation.held_out import HeldOut
from stages.inference.complete import Plan, check_plan
from stages.records import templates
from stages.records.problem import check_problems
from stages.records.record import Record
from stages.runtime.errors import NoRecords
from stages.runtime.report import Report
from stages.scoring.preflight import check_held, check_judgeable, ready
from stages.scoring.spec import check_names
from stages.selection.rules import check_rules
from stages.settings.distill import Settings
from stages.settings.groups import Engine
from stages.training.loop.preflight import due


def looked_over(
    records: Iterable[Record], settings: Settings, report: Report, *, resume: bool
) -> tuple[Iterable[Record], list[HeldOut]]:
    """The problems whose traces are to be learned and what is held out, all read and checked as far as that
    goes without a model.

    Where `resume` finds the run finished they are as they came. Raises what `due`, `check_plan` and the
    rules of the selection raise, UsageError for a reward that is none or not among those given, and NoRecords
    where there is no problem.
    """
    student = settings.template if settings.student_template is None else settings.student_template
    sets = due(settings, "distill", templates.load(student), resume=resume, lessons=True)
    if sets is None:
        return records, []
    plan = plan_of(settings, settings.engine)
    check_plan(plan, settings.endpoint)
    given = ready(settings.reward)
    selection = settings.selection
    check_rules(selection)
    needed = selection.keep in ("correct", "shortest") or selection.min_pass is not None
    if needed or selection.max_pass is not None:
        check_names("--reward-name", selection.reward_name, given)
    items = list(records)
    if not items:
        raise NoRecords("no problems to distil", remedy="see what the stage before kept")
    check_problems(items, plan.template)
    check_held(items, given, report)
    check_judgeable(items, settings.reward, report)
    return items, sets


def plan_of(settings: Settings, engine: Engine) -> Plan:
    """How the teacher is sampled on `engine`."""
    if engine.backend in ("openai", "echo"):  # --dtype is the student's alone
        engine = replace(engine, dtype="auto")
    template = templates.load(settings.template)
    return Plan(settings.teacher, template, settings.sampling, settings.seed, settings.samples, engine)
