"""The job in a run's configuration names files, so it must not lead to any other."""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace
from typing import cast

import pytest
from flwr.app import Context
from flwr.serverapp import Grid
from pydantic import ValidationError

from deploy.serving import apps
from deploy.serving.job import JobOutcome, ServerJob

STRANGE = ("outcomes/../x", "../x", "/tmp/x", "a/b", "..", ".x", "", "a\n", "a\x00", "ä", "a" * 65)


def test_names_that_a_launcher_gives_are_taken() -> None:
    name = uuid.uuid4().hex
    assert ServerJob(name=name, kind="sync").name == name
    assert JobOutcome(task=name, result="synced").task == name


@pytest.mark.parametrize("name", STRANGE)
def test_name_that_is_a_path_is_refused_where_it_arrives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the job must not be begun")

    monkeypatch.setattr(apps, "perform", never)
    task = json.dumps({"name": name, "kind": "sync"})
    context = cast(Context, SimpleNamespace(run_config={"task": task}))
    with pytest.raises(ValidationError, match="name"):
        apps.serve(cast(Grid, None), context)
    with pytest.raises(ValidationError, match="task"):
        JobOutcome(task=name, result="synced")
