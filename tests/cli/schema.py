# SPDX-License-Identifier: LGPL-3.0-or-later
"""Lines of JSON against docs/events.schema.json. Only what that schema uses of JSON Schema is understood; anything else
in it is an error here, so that nothing is taken for checked that is not."""
import json
import os
import re

from lab import Failure

PATH = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "events.schema.json")
REPORT = os.path.join(os.path.dirname(PATH), "report.schema.json")
TYPES = {"array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
         "null": type(None), "object": dict}
KNOWN = {"type", "const", "enum", "pattern", "minimum", "maximum", "properties", "required", "additionalProperties",
         "description", "items", "$schema", "title"}


def is_type(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def validate(value, rule, where):
    """Raises Failure where `value` is not as `rule` says."""
    def must(condition, why):
        if not condition:
            raise Failure(f"{where}: {value!r} {why}")
    must(not set(rule) - KNOWN, f"has a rule that is not understood: {set(rule) - KNOWN}")
    names = rule.get("type", [])
    must(not names or any(is_type(value, name) for name in ([names] if isinstance(names, str) else names)),
         f"is not of type {names}")
    must("const" not in rule or value == rule["const"], f"is not {rule.get('const')!r}")
    must("enum" not in rule or value in rule["enum"], "is not one of those allowed")
    must("pattern" not in rule or not isinstance(value, str) or re.search(rule["pattern"], value), "does not match")
    must("minimum" not in rule or value >= rule["minimum"], "is too small")
    must("maximum" not in rule or value <= rule["maximum"], "is too large")
    for number, part in enumerate(value if isinstance(value, list) else ()):
        validate(part, rule.get("items", {}), f"{where}[{number}]")
    if isinstance(value, dict):
        properties = rule.get("properties", {})
        must(not set(rule.get("required", ())) - set(value), f"lacks {set(rule.get('required', ())) - set(value)}")
        must(rule.get("additionalProperties") is not False or not set(value) - set(properties),
             f"has {set(value) - set(properties)} too many")
        for name, part in value.items():
            if name in properties:
                validate(part, properties[name], f"{where}.{name}")


def parse(line):
    """The object of a line, which must be as the schema says."""
    with open(PATH, encoding="utf-8") as file:
        kinds = json.load(file)["$defs"]
    value = json.loads(line)
    kind = value.get("type")
    if kind not in kinds:
        raise Failure(f"the schema has no line of type {kind!r}")
    validate(value, kinds[kind], kind)
    return value


def parse_report(text):
    """The object of doctor's report, which must be as its schema says."""
    value = json.loads(text)
    with open(REPORT, encoding="utf-8") as file:
        validate(value, json.load(file), "report")
    return value
