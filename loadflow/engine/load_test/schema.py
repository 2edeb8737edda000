"""The JSON Schema (draft 2020-12) of a script, made from the models that check it.

It is for editors and other tools: what it refuses, the checker refuses too. The checker also sees what a schema can't say: whether
`host` is set for a relative URL, whether `max` is at least `min`, whether weights sum to more than 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.rate import INSTEAD, ONLY_WITH
from loadflow.engine.load_test.scenario import StepOfAnother, tasks_model
from loadflow.engine.load_test.shape import SHAPES
from loadflow.engine.load_test.user_types import known_user_types
from loadflow.engine.protocols.model.user_type import UserType
from loadflow.engine.script.arguments import NESTED, Signature, signature_of
from loadflow.engine.script.command import Command
from loadflow.engine.script.declared import DECLARED_KEY, Declaration
from loadflow.engine.script.document import PolicyElement
from loadflow.engine.script.populations import MOST_POPULATIONS, OWN_KEYS
from loadflow.engine.script.visit import ROOT_KEY

__all__ = ["DIALECT", "script_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Unions as anyOf: members may overlap (text, and text that is a placeholder), which oneOf forbids."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        made = super().tagged_union_schema(schema)
        made.pop("discriminator", None)
        return {("anyOf" if key == "oneOf" else key): value for key, value in made.items()}


def script_schema(commands: Mapping[str, Command]) -> dict[str, object]:
    """The schema of a document whose actions call `commands`.

    >>> script_schema({})["$schema"]
    'https://json-schema.org/draft/2020-12/schema'
    """
    signatures = {name: signature_of(command) for name, command in commands.items()}
    models: dict[str, type[BaseModel]] = {name: command.arguments or signatures[name].model for name, command in commands.items()}
    mode: JsonSchemaMode = "validation"
    users = list(known_user_types())
    tasks = {one.name: tasks_model(one.form) for one in users}
    parts: list[type[BaseModel]] = [*models.values(), PolicyElement, Declaration, *SHAPES.values(), *tasks.values()]
    parts += [StepOfAnother, *(one.form.step for one in users), *(one.form.mapped for one in users if one.form.mapped is not None)]
    everything = list(dict.fromkeys(parts))
    references, generated = models_json_schema(
        [(model, mode) for model in everything], ref_template="#/$defs/{model}", schema_generator=_Generator
    )
    definitions: JsonObject = generated.get("$defs", {})
    for name, command in commands.items():
        if command.nested == "actions":
            _definition(definitions, references[models[name], mode])["properties"][NESTED] = {"$ref": "#/$defs/Document"}
    if (StartTest, mode) in references:
        shapes = {name: references[model, mode] for name, model in SHAPES.items()}
        steps = {name: f"{references[model, mode]['$ref']}/properties" for name, model in tasks.items()}
        test = _definition(definitions, references[StartTest, mode])
        test["allOf"] = [*_shape_rules(shapes), *_rate_rules(), *_user_rules(steps)]
        test["anyOf"] = [{"required": ["tasks"]}, {"required": ["populations"]}]
        test["properties"]["populations"] = _populations(test["properties"])
        test["properties"]["hosts"]["propertyNames"] = {"enum": list(tasks)}
        _name_users(definitions, {model: reference for (model, _), reference in references.items()}, users)
    policy = references[PolicyElement, mode]
    for name in commands:
        schema = references[models[name], mode]
        definitions[f"action {name}"] = _action(commands[name], signatures[name], schema, _definition(definitions, schema), policy)
    definitions["Action"] = {"anyOf": [{"$ref": f"#/$defs/{_pointer(f'action {name}')}"} for name in commands] or [False]}
    definitions["Actions"] = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Action"}}
    definitions["Wrapped"] = {
        "type": "object",
        "required": [ROOT_KEY],
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string"},
            "description": {"type": "string"},
            ROOT_KEY: {"$ref": "#/$defs/Actions"},
        },
    }
    wrapped = definitions["Wrapped"]
    variables = {"type": "object", "additionalProperties": {"$ref": references[Declaration, mode]["$ref"]}}
    definitions["Script"] = {**wrapped, "properties": {**wrapped["properties"], DECLARED_KEY: variables}}
    definitions["Document"] = {"anyOf": [{"$ref": "#/$defs/Wrapped"}, {"$ref": "#/$defs/Actions"}]}
    definitions["Top"] = {"anyOf": [{"$ref": "#/$defs/Script"}, {"$ref": "#/$defs/Actions"}]}
    return {"$schema": DIALECT, "title": "loadflow action script", "$ref": "#/$defs/Top", "$defs": definitions}


def _name_users(definitions: dict[str, object], references: Mapping[type, JsonMapping], users: Sequence[UserType]) -> None:
    """Each form of step says whose it is, where it says it; a step of another user is one of those that name theirs."""
    for user in users:
        names = [one.name for one in users if one.form == user.form]
        for model in (user.form.step, user.form.mapped):
            if model is not None:
                _definition(definitions, references[model])["properties"]["user"] = {"enum": [*names, None]}
    others = [
        {"$ref": references[one.form.step]["$ref"], "required": ["user"], "properties": {"user": {"const": one.name}}}
        for one in users
        if one.form.apart is None
    ]
    another = _definition(definitions, references[StepOfAnother])
    another.clear()
    another["anyOf"] = others


def _populations(properties: JsonMapping) -> JsonObject:
    """Each says of a test's keys those that are its own."""
    own = {"name": {"type": "string", "minLength": 1}, **{key: properties[key] for key in OWN_KEYS}}
    one = {"type": "object", "required": ["name"], "properties": own, "additionalProperties": False}
    return {"anyOf": [{"type": "array", "minItems": 1, "maxItems": MOST_POPULATIONS, "items": one}, {"type": "null"}], "default": None}


def _definition(definitions: JsonObject, reference: JsonMapping) -> JsonObject:
    found: dict[str, object] = definitions[reference["$ref"].removeprefix("#/$defs/")]
    return found


def _pointer(name: str) -> str:
    """`name` inside a URI fragment: RFC 6901 section 6."""
    return name.replace("~", "~0").replace("/", "~1").replace("%", "%25").replace(" ", "%20")


def _action(
    command: Command, signature: Signature, by_name: JsonMapping, definition: JsonMapping, policy: JsonMapping
) -> dict[str, object]:
    properties = definition.get("properties", {})
    by_position: dict[str, object] = {
        "type": "array",
        "prefixItems": [properties.get(name, True) for name in signature.positional],
        "minItems": sum(name in signature.required for name in signature.positional),
    }
    if not by_position["prefixItems"]:
        del by_position["prefixItems"]  # it may not be empty
    if signature.most is not None:
        by_position["maxItems"] = signature.most
    forms = [by_name, by_position]
    needs_arguments = bool(definition.get("required"))
    if not needs_arguments:
        forms.append({"type": "null"})
    return {
        "type": "array",
        "description": command.summary,
        "prefixItems": [{"const": command.name}, {"anyOf": forms}, policy],
        "minItems": 2 if needs_arguments else 1,
        "maxItems": 3,
    }


def _shape_rules(shapes: Mapping[str, object]) -> list[dict[str, object]]:
    """The shape_config that each load_shape takes, and that neither goes without the other."""
    rules: list[dict[str, object]] = [
        {
            "if": {"properties": {"load_shape": {"const": name}}, "required": ["load_shape"]},
            "then": {"properties": {"shape_config": schema}, "required": ["shape_config"]},
        }
        for name, schema in shapes.items()
    ]
    given = {"properties": {"shape_config": {"type": "object"}}, "required": ["shape_config"]}
    shaped = {"properties": {"load_shape": {"type": "string"}}, "required": ["load_shape"]}
    return [*rules, {"if": given, "then": shaped}]


def _rate_rules() -> list[JsonObject]:
    """What a rate replaces does not stand beside it, and what goes with a rate does not stand alone."""
    given = {"not": {"type": "null"}}
    rated = {"properties": {"rate": given}, "required": ["rate"]}
    others: list[dict[str, object]] = [{"not": {"properties": {key: given}, "required": [key]}} for key in INSTEAD]
    end = {"properties": {"test_time": given}}
    alone = [{"if": {"properties": {key: given}, "required": [key]}, "then": rated} for key in ONLY_WITH]
    return [{"if": rated, "then": {"allOf": [*others, end]}}, *alone]


def _list_or_none(steps: str) -> dict[str, object]:
    """Steps as a list, which may be empty."""
    return {"type": "array", "anyOf": [{"maxItems": 0}, {"$ref": steps}]}


def _user_rules(steps: Mapping[str, str]) -> list[dict[str, object]]:
    """The tasks that each user type takes; a detail that names none means the first."""
    default = next(iter(steps), "")
    return [
        {
            "if": {
                "properties": {
                    "user_detail_dict": {"properties": {"user": {"const": name}}, **({} if name == default else {"required": ["user"]})}
                }
            },
            "then": {
                "properties": {
                    "tasks": {"$ref": f"{where}/tasks"},
                    **{phase: _list_or_none(f"{where}/tasks") for phase in ("on_start", "on_stop")},
                }
            },
        }
        for name, where in steps.items()
    ]
