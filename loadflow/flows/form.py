"""The form of one script's deployment: a field for each variable, and a group for the other parameters of a run."""

from __future__ import annotations

from collections.abc import Mapping

from prefect import Flow

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.resolve.variables import suggestion
from loadflow.engine.script.declared import Declaration
from loadflow.errors import Mistake

__all__ = ["ADVANCED", "FIXED", "advanced_fields", "form_schema", "given_of", "mistakes_in"]

ADVANCED = "advanced"
FIXED = ("script", "script_path")  # parameters of every run, that the form does not show
SECRET_HELP = "Of a secret write ${secret.NAME}, the name of a Secret block; it is masked everywhere."
JSON_TYPES = {"text": "string", "integer": "integer", "number": "number", "boolean": "boolean"}


def given_of(form: JsonMapping) -> JsonObject:
    """The generic flow's parameters: each field is a variable, those of the advanced group are what they are called.

    A field that was left empty is none, so that the script's own default or its check decides.

    >>> given_of({"script_path": "a.json", "base": "http://127.0.0.1", "users": None, "advanced": {"label": "x", "variables": {"a": 1}}})
    {'script_path': 'a.json', 'label': 'x', 'variables': {'a': 1, 'base': 'http://127.0.0.1'}}
    """
    advanced = dict(form.get(ADVANCED) or {})
    fields = {name: value for name, value in form.items() if name not in (*FIXED, ADVANCED) and value is not None}
    more = advanced.pop("variables", None) or {}
    return {**{name: form[name] for name in FIXED if name in form}, **advanced, "variables": {**more, **fields}}


def advanced_fields(flow: Flow[..., object]) -> JsonObject:
    """The fields of the advanced group: the generic flow's parameters but the script itself, with their help."""
    known = flow.parameters.model_dump()["properties"]
    fields = {name: _plain(field) for name, field in known.items() if name not in FIXED}
    fields["variables"]["description"] = f"Variables that have no field of their own. {SECRET_HELP}"
    return fields


def _plain(field: JsonMapping) -> dict[str, object]:
    """A field that may be left empty is drawn as what it is when it is not; Prefect's pages draw a choice of "None" otherwise."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1 or field.get("default") is not None:
        return dict(field)
    return {**{key: value for key, value in field.items() if key not in ("anyOf", "default")}, **kinds[0]}


def form_schema(shown: Mapping[str, Declaration], hidden: Mapping[str, Declaration], flow: Flow[..., object]) -> dict[str, object]:
    """The JSON Schema of a deployment's parameters, as Prefect's pages draw it and its API holds runs to it.

    Of the variables `shown` each has a field, required where it has no default; those `hidden` are in `variables` of the advanced group.
    """
    properties = {name: _field(name, one, position) for position, (name, one) in enumerate(shown.items())}
    advanced = advanced_fields(flow)
    advanced["variables"]["properties"] = {name: _field(name, one, position) for position, (name, one) in enumerate(hidden.items())}
    properties[ADVANCED] = {
        "title": ADVANCED,
        "type": "object",
        "description": "Other parameters of a run; the defaults are fine.",
        "properties": advanced,
        "additionalProperties": False,
        "default": {},
        "position": len(properties),
    }
    required = [name for name, one in shown.items() if not one.has_default]
    return {"title": "Parameters", "type": "object", "properties": properties, "required": required, "definitions": {}}


def _field(name: str, declared: Declaration, position: int) -> JsonObject:
    field: dict[str, object] = {"title": name, "type": JSON_TYPES[declared.kind], "position": position}
    if declared.has_default:
        field["default"] = declared.default
    if declared.choices:
        field["enum"] = declared.choices
    elif declared.kind == "text" and not declared.has_default:
        field["minLength"] = 1
    for bound, key in (("min", "minimum"), ("max", "maximum")):
        if getattr(declared, bound) is not None:
            limit = getattr(declared, bound)
            field[key] = int(limit) if limit == int(limit) else limit
    secret_help = SECRET_HELP if declared.kind == "text" and not declared.choices else ""
    field["description"] = " ".join(filter(None, (_sentence(declared.description), secret_help)))
    return field


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def mistakes_in(parameters: Mapping[str, object], schema: JsonMapping, *, complete: bool) -> list[Mistake]:
    """What Prefect's API would refuse of a deployment's own values, and unknown fields. `complete`: no form will add the rest."""
    from prefect.utilities.schema_tools.validation import validate

    fields = list(schema["properties"])
    found = [
        Mistake(name, "the script has no variable of this name", suggestion(name, fields) or f"it has {', '.join(fields[:-1]) or 'none'}")
        for name in parameters
        if name not in (*fields, *FIXED)
    ]
    given = {name: value for name, value in parameters.items() if name in fields}
    if complete:
        unset = [name for name in schema["required"] if name not in given]
        found += [
            Mistake(name, "has no value, and a scheduled run has no form to ask for one", f"set it with --var {name}=…") for name in unset
        ]
    errors = validate(given, dict(schema), raise_on_error=False, ignore_required=True)
    return found + [Mistake(".".join(map(str, error.path)), error.message, "") for error in errors]
