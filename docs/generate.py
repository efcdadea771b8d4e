"""Write the pages of ``docs/reference`` that follow from the code: ``make reference``.

Each page is a pure function of the code; a test compares it with the file.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

import click
import typer
from pydantic import BaseModel

from clients.feature_settings import FeatureSettings
from clients.imaging.select_settings import SelectSettings
from clients.partition_settings import ByClassPartition, DirichletPartition, SharesPartition
from clients.preparation.augment_settings import AugmentSettings
from clients.preparation.settings import PrepareSettings
from clients.privacy.ledger.policy import PrivacyPolicy
from clients.privacy.settings import PrivacySettings
from clients.settings import (
    FileData,
    InitialWeights,
    ModelSettings,
    NpzData,
    PhantomData,
    SplitSettings,
    TrainingSettings,
)
from clients.tasks.entry_settings import EntryTaskSettings, ScoreSettings
from clients.tasks.settings import (
    ClassificationSettings,
    RestorationSettings,
    SegmentationSettings,
)
from deploy.cli import app
from deploy.pacs.credentials import Credentials
from deploy.pacs.query import Query
from deploy.site.pacs_settings import PacsSettings
from deploy.site.settings import PageSettings, SiteSettings, TimeoutSettings
from docs.doctor_page import doctor_page
from docs.markdown import page, summary, table
from srflm_flower.federation.federation import (
    Federation,
    ProtocolSettings,
    RecoveredHead,
    RunSettings,
)
from srflm_flower.federation.member import Member
from srflm_flower.federation.personalised import (
    FineTuningSettings,
    OwnModelSettings,
    PersonalisedSettings,
)
from srflm_flower.package.about import AboutSettings, ProjectSettings, RequesterSettings
from srflm_flower.site.policy import SitePolicy
from strategies import errors
from strategies.protocol.records import Edition
from strategies.settings import AggregationSettings, ElectionSettings, EntrySettings

FOLDER = Path(__file__).parent / "reference"

Sections = tuple[tuple[str, type[BaseModel]], ...]

FEDERATION_SECTIONS: Sections = (
    ("Top of the file", Federation),
    ("`[[vendors]]`", Member),
    ('`[task]` with `kind = "classification"`, or without `kind`', ClassificationSettings),
    ('`[task]` with `kind = "segmentation"`', SegmentationSettings),
    ('`[task]` with `kind = "restoration"`', RestorationSettings),
    ('`[task]` with `kind = "entry"`', EntryTaskSettings),
    ("`[[task.scores]]`", ScoreSettings),
    ('`[data]` with `source = "phantom"`', PhantomData),
    ('`[data]` with `source = "npz"`', NpzData),
    ('`[data.partition]` with `kind = "dirichlet"`', DirichletPartition),
    ('`[data.partition]` with `kind = "by-class"`', ByClassPartition),
    ('`[data.partition]` with `kind = "shares"`', SharesPartition),
    ('`[data]` with `source = "files"`', FileData),
    ('`[data.prepare]` with `source = "files"`', PrepareSettings),
    ('`[data.select]` with `source = "files"`', SelectSettings),
    ("`[data.augment]`", AugmentSettings),
    ("`[splits]`", SplitSettings),
    ("`[model]`", ModelSettings),
    ("`[model.initial-weights]`", InitialWeights),
    ("`[model.features]`", FeatureSettings),
    ("`[task.entry]`, `[model.entry]`, `[aggregation.entry]`, `[election.entry]`", EntrySettings),
    ("`[training]`", TrainingSettings),
    ("`[election]`", ElectionSettings),
    ("`[aggregation]`", AggregationSettings),
    ("`[personalised]`", PersonalisedSettings),
    ("`[personalised.own]`", OwnModelSettings),
    ("`[personalised.fine-tuning]`", FineTuningSettings),
    ("`[privacy]`", PrivacySettings),
    ("`[protocol]`", ProtocolSettings),
    ("`[run]`", RunSettings),
    ("`[first]`", Edition),
    ("`[[recovered]]`", RecoveredHead),
)
SITE_SECTIONS: Sections = (
    ("Top of the file", SiteSettings),
    ("`[policy]`", SitePolicy),
    ("`[privacy]`", PrivacyPolicy),
    ("`[timeouts]`", TimeoutSettings),
    ("`[page]`", PageSettings),
    ("`[pacs]`", PacsSettings),
    ("The file that `credentials` in `[pacs]` names", Credentials),
)
QUERY_SECTIONS: Sections = (("Settings", Query),)
ABOUT_SECTIONS: Sections = (
    ("Top of the file", AboutSettings),
    ("`[requester]`", RequesterSettings),
    ("`[project]`", ProjectSettings),
)

SITE_INTRO = (
    "What one site's IT team decides. Nobody else reads it, and no federation file overrides"
    " it. A change takes effect when the site is started again (`srflm down`, then `srflm up`)."
)
QUERY_INTRO = (
    "A file that says which series `srflm data pull` fetches from a site's PACS; any name will"
    " do. It stays at the site. [Images from a PACS](../how-to/pacs.md) has an example."
)
ABOUT_INTRO = (
    "What only people can state about a model, for its [package](../how-to/model-package.md);"
    " any name will do. Without it the card says that nobody has stated it."
)

# ---- settings ----------------------------------------------------------------------------------


def federation_page() -> str:
    """Return the page about ``federation.toml``."""
    intro = (
        "One file on which all members agree. Its hash is the federation's identity and travels in"
        " every message; `[run]`, the data paths and these descriptions are not part of it."
        " Unknown keys are refused, and all problems are shown at once. `srflm config show` prints"
        " a complete file, `srflm config check` checks one. Relative paths start at the file's own"
        " folder."
    )
    return page("federation.toml", intro, _sections(FEDERATION_SECTIONS))


def settings_page(title: str, sections: Sections, intro: str) -> str:
    """Return the page about a small file of settings."""
    return page(title, intro, _sections(sections))


def _sections(sections: Sections) -> Iterator[str]:
    for heading, model in sections:
        yield f"## {heading}"
        yield summary(model)
        yield table(("setting", "type", "default", "allowed", "what it does"), _settings_of(model))


def _settings_of(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each setting that is not a table of its own."""
    properties = model.model_json_schema(by_alias=True)["properties"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        schema = _present(properties[key])
        if "$ref" in json.dumps(schema):
            continue
        default = "required" if field.is_required() else _value(properties[key].get("default"))
        yield f"`{key}`", _type(schema), default, _allowed(schema), field.description or ""


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that is not left out."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _type(schema: Mapping[str, Any]) -> str:
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            items = schema["prefixItems"]
            return f"list of {len(items)} {_type(items[0])}s"
        case "array":
            return f"list of {_type(schema['items'])}s"
        case "string":
            return str(schema.get("format") or "text")
        case kind:
            names = {"integer": "whole number", "boolean": "true or false", "object": "table"}
            return names.get(str(kind), str(kind))


def _value(value: object) -> str:
    return "left out" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _allowed(schema: Mapping[str, Any]) -> str:
    """Return the values that a setting may have, as far as its type does not say it."""
    if schema.get("type") == "array":
        return _allowed(schema.get("items", {}))
    choices = schema.get("enum", [schema["const"]] if "const" in schema else ())
    if choices:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in choices)
    words = {
        "minimum": "≥ {}",
        "exclusiveMinimum": "> {}",
        "maximum": "≤ {}",
        "exclusiveMaximum": "< {}",
        "multipleOf": "a multiple of {}",
        "pattern": "`{}`",
    }
    return ", ".join(
        text.format(f"{schema[key]:g}" if isinstance(schema[key], int | float) else schema[key])
        for key, text in words.items()
        if key in schema
    )


# ---- the command line --------------------------------------------------------------------------


def command_line_page() -> str:
    """Return the page about the commands of ``srflm``."""
    root = typer.main.get_command(app)
    intro = (
        "Every command prints this with `--help`. Exit codes: 0 done; 1 the run stopped or failed;"
        " 2 wrong usage or a wrong file; 130 interrupted. `srflm --install-completion` installs"
        " completion for the shell."
    )
    return page("Command line", intro, _commands(click.Context(root, info_name="srflm")))


def _commands(context: click.Context) -> Iterator[str]:
    """Yield the sections of a command and of all that are below it."""
    command = context.command
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        for name in names:
            below = command.get_command(context, name)
            assert below is not None
            if not below.hidden:
                yield from _commands(click.Context(below, parent=context, info_name=name))
        return
    yield f"## `{context.command_path}`"
    yield inspect.cleandoc(command.help or "")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```"
    rows = [
        (_name(each, context), _default(each), _help(each, command))
        for each in command.get_params(context)
        if "--help" not in each.opts and not getattr(each, "hidden", False)
    ]
    if rows:
        yield table(("argument or option", "default", "what it does"), rows)


def _name(parameter: click.Parameter, context: click.Context) -> str:
    if isinstance(parameter, click.Argument):
        return f"`{parameter.make_metavar(context)}`"
    takes_value = not getattr(parameter, "is_flag", False)
    metavar = f" {parameter.make_metavar(context)}" if takes_value else ""
    return f"`{', '.join([*parameter.opts, *parameter.secondary_opts])}{metavar}`"


def _help(parameter: click.Parameter, command: click.Command) -> str:
    # typer 0.20 loses the help of arguments with click 8.5; the function still has it.
    function = inspect.unwrap(command.callback or _help)
    hints = get_type_hints(function, include_extras=True)
    notes = getattr(hints.get(parameter.name or ""), "__metadata__", ())
    texts = [getattr(each, "help", None) for each in (parameter, *notes)]
    return next(filter(None, texts), "")


def _default(parameter: click.Parameter) -> str:
    shown = getattr(parameter, "show_default", None)
    default = shown if isinstance(shown, str) else parameter.default
    if parameter.required:
        return "required"
    return "" if default in (None, False, "", ()) or callable(default) else f"`{default}`"


# ---- error codes -------------------------------------------------------------------------------


def error_page() -> str:
    """Return the page about error codes."""
    intro = (
        "Every error says what was found, what was expected, and how to mend it. Only the code"
        " leaves a site; the text is in the site's own `state/site.log`."
    )
    return page("Error codes", intro, _errors())


def _errors() -> Iterator[str]:
    rows: dict[str, list[tuple[str, ...]]] = {}
    for kind, name, code, text in documented_codes():
        meaning, mend = re.split(r"(?<=\.)\s+(?=[A-Z])", text, maxsplit=1)
        anchor = f'<a id="{code.lower()}"></a>`{code}`'
        rows.setdefault(kind, []).append((anchor, f"`{name}`" if name else "", meaning, mend))
    for kind, listed in rows.items():
        yield f"## {kind}"
        if kind in vars(errors):
            yield summary(vars(errors)[kind])
        yield table(("code", "name", "what it means", "how to resolve it"), listed)


def documented_codes() -> Iterator[tuple[str, str, str, str]]:
    """Yield each code in the error tree with its class, its name there, and its documentation."""
    tree = ast.parse(inspect.getsource(errors))
    places = [(node.name, node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
    for kind, body in [*places, ("Codes without a class", tree.body)]:
        for statement, following in pairwise(body):
            code = re.search(r"SRFLM-[A-Z]\d+", ast.unparse(statement))
            is_value = isinstance(statement, ast.Assign | ast.AnnAssign)
            if is_value and code and isinstance(following, ast.Expr):
                target = ast.unparse(statement).split(":")[0].split(" ")[0]
                text = " ".join(str(ast.literal_eval(following.value)).split())
                yield kind, target if target.isupper() else "", code[0], text


# ---- pages -------------------------------------------------------------------------------------


PAGES: Mapping[str, Callable[[], str]] = {
    "federation-toml.md": federation_page,
    "site-toml.md": partial(settings_page, "site.toml", SITE_SECTIONS, SITE_INTRO),
    "query-toml.md": partial(settings_page, "query.toml", QUERY_SECTIONS, QUERY_INTRO),
    "about-toml.md": partial(settings_page, "about.toml", ABOUT_SECTIONS, ABOUT_INTRO),
    "command-line.md": command_line_page,
    "error-codes.md": error_page,
    "doctor.md": doctor_page,
}

if __name__ == "__main__":
    for name, written in PAGES.items():
        (FOLDER / name).write_text(written(), encoding="utf-8")
