# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the modules, roles and action group: whole, and true to the code."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped]
from unit.plugins.support import CHECKOUT, MODULES

Document = dict[str, Any]
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())
# What role and module specifications have in common, beside texts.
SPEC_KEYS = ("type", "elements", "choices", "default", "required")


def module(name: str) -> Any:
    return importlib.import_module(f"ansible_collections.asl.rescue.plugins.modules.{name}")


def documentation(name: str) -> Document:
    """A module's own documentation with the collection's fragments in it."""
    whole: Document = yaml.safe_load(module(name).DOCUMENTATION)
    for fragment in whole["extends_documentation_fragment"]:
        if fragment.startswith("asl.rescue."):
            found = importlib.import_module(f"ansible_collections.asl.rescue.plugins.doc_fragments.{fragment.rpartition('.')[2]}")
            part = yaml.safe_load(found.ModuleDocFragment.DOCUMENTATION)
            for key in ("options", "attributes"):
                for each, text in (part.get(key) or {}).items():
                    whole.setdefault(key, {}).setdefault(each, {}).update({**text, **whole[key].get(each, {})})
    return whole


def spec(name: str) -> Document:
    if name in ("asl_host_key", "asl_image", "asl_report"):  # their action plugins do the work
        return dict(importlib.import_module(f"ansible_collections.asl.rescue.plugins.action.{name}").SPEC)
    return dict(module(name).ARGUMENT_SPEC)


@pytest.mark.parametrize("name", MODULES)
def test_options_are_documented_as_they_are(name: str) -> None:
    options, wanted = documentation(name)["options"], spec(name)
    assert set(options) == set(wanted)
    for option, text in options.items():
        assert text["type"] == wanted[option].get("type", "str"), option
        for key in ("default", "choices", "elements", "required"):
            assert text.get(key) == wanted[option].get(key), f"{option}: {key}"
        assert all(sentence.endswith((".", ")")) for sentence in text["description"]), option


@pytest.mark.parametrize("name", MODULES)
def test_every_attribute_is_stated(name: str) -> None:
    attributes = documentation(name)["attributes"]
    assert {"check_mode", "diff_mode", "idempotent", "platform", "async"} <= set(attributes)
    for attribute, text in attributes.items():
        assert text["support"] in ("full", "partial", "none"), attribute
        assert text["support"] != "partial" or text["details"], attribute


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_tasks_that_the_module_takes(name: str) -> None:
    text = module(name).EXAMPLES
    assert text.startswith("\n---\n")
    tasks = yaml.safe_load(text)
    own = [task[f"asl.rescue.{name}"] or {} for task in tasks if f"asl.rescue.{name}" in task]
    assert own
    assert all(task["name"][0].isupper() and not task["name"].endswith(".") for task in tasks)
    for options in own:
        # A template stands for whatever the operator has there.
        given = {key: value for key, value in options.items() if not str(value).startswith("{{")}
        assert not ArgumentSpecValidator(spec(name)).validate(given).error_messages
        assert set(options) <= set(spec(name))


@pytest.mark.parametrize("name", MODULES)
def test_returned_keys_are_described_with_a_sample_of_their_type(name: str) -> None:
    types: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": (int, float), "list": list, "dict": dict}

    def check(keys: Document, nested: bool) -> None:
        for key, text in keys.items():
            assert text["description"], key
            assert nested or text["returned"], key
            if "contains" in text:
                check(text["contains"], True)
            if "sample" in text:
                assert isinstance(text["sample"], types[text["type"]]), key
            else:
                assert "contains" in text, key

    check(yaml.safe_load(module(name).RETURN), False)


def test_whatever_an_error_of_the_engine_tells_is_among_the_details() -> None:
    """By the keywords of everything that is raised: a new one is named in _tool.DETAILS, else modules return a key of their own for it."""
    trees = [ast.parse(path.read_text()) for path in (CHECKOUT / "overlay/usr/local/lib/asl").rglob("*.py")]
    families = {name for name, found in vars(importlib.import_module("asl.errors")).items() if isinstance(found, type)}
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    told = {word.arg for call in calls if getattr(call.func, "id", "") in families for word in call.keywords}
    known = set(importlib.import_module("ansible_collections.asl.rescue.plugins.module_utils._tool").DETAILS)
    assert known - {"stdout"} == told - {"reason", "hint", "rc", None}


@pytest.mark.parametrize("name", MODULES)
def test_files_stay_small(name: str) -> None:
    assert len(Path(module(name).__file__).read_text().splitlines()) <= 400


def test_the_action_group_names_the_modules_that_take_a_store_and_settings() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())
    takers = [name for name in MODULES if "settings" in spec(name)]
    assert runtime["action_groups"]["asl"] == takers


@pytest.mark.parametrize("role", ROLES)
def test_a_role_documents_the_variables_it_uses(role: str) -> None:
    folder = CHECKOUT / "roles" / role
    options = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((folder / "defaults/main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in options.items() if not option.get("required")}
    tasks = {path.name: path.read_text() for path in sorted(folder.glob("tasks/*.yml"))}
    written = "".join([*tasks.values(), *(path.read_text() for path in folder.glob("templates/*"))])
    made = {f"{role}_result", *re.findall(r"register: (\w+)", written), *re.findall(r"set_fact:\n +(\w+):", written)}
    used = set(re.findall(rf"\b{role}_[a-z0-9_]+", written)) - made
    assert used == set(options)
    assert [name for name, text in tasks.items() if len(text.splitlines()) > 60] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_page_of_a_role_shows_a_play_that_it_takes_and_states_its_attributes(role: str) -> None:
    page = (CHECKOUT / "roles" / role / "README.md").read_text()
    options = yaml.safe_load((CHECKOUT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    (box,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (play,) = yaml.safe_load(box)
    (shown,) = play["roles"]
    assert (shown["role"], set(play)) == (f"asl.rescue.{role}", {"hosts", "gather_facts", "roles"})
    wanted = {name: {key: text for key, text in option.items() if key in SPEC_KEYS} for name, option in options.items()}
    assert not ArgumentSpecValidator(wanted).validate(shown.get("vars", {})).error_messages
    stated = dict(re.findall(r"^\| (\w+) \| (\w+)", page, re.MULTILINE))
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(stated)
    # Not in argument_specs.yml: ansible-core shows no attributes of roles any more from 2.20 on.
    assert all(stated[name] in ("full", "partial", "none") for name in ("check_mode", "diff_mode", "idempotent"))
