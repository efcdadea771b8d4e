"""Check that the installed Flower has the names and parameters that this package relies on.

A site checks them at its start. The behaviour behind them is checked by the tests, which run
against the installed Flower.
"""

from __future__ import annotations

import importlib
import inspect
from importlib import metadata

from strategies.errors import ConfigurationError

FLOWER = "1.42"
SUPERNODE_LOOP = "flwr.supernode.start_client_internal"
SUPERNODE_MAIN = "flwr.supernode.cli.flower_supernode"
CLIENT_TASK = "flwr.supernode.runtime.run_clientapp"
SERVER_TASK = "flwr.superlink.runtime.run_serverapp"
RETRIES = "flwr.supercore.retry.http_retry"
OBJECTS = "flwr.supercore.inflatable.inflatable_utils"

# The functions of a SuperNode's connection in their order, after the node's id.
CONNECTION = (
    "receive",
    "send",
    "get_run",
    "get_fab",
    "pull_object",
    "push_object",
    "confirm_message_received",
)

_PULL = "max_concurrent_pulls max_time max_tries_per_object initial_backoff backoff_cap"
_TASK = "runtime_api_address {} token insecure certificates parent_pid runtime_dependency_install"

# ``module:attribute`` → its parameters in order, or None if the package only replaces it.
EXPECTED = {
    f"{SUPERNODE_MAIN}:flower_supernode": "",
    f"{SUPERNODE_LOOP}:_init_connection": "server_address insecure root_certificates"
    " authentication_keys max_retries max_wait_time",
    f"{SUPERNODE_LOOP}:_pull_and_store_message": "state object_store node_config receive get_run"
    " get_fab pull_object confirm_message_received trusted_entities",
    f"{SUPERNODE_LOOP}:_push_messages": "state object_store send push_object",
    f"{SUPERNODE_LOOP}:time": None,
    f"{RETRIES}:MAX_RETRY_DELAY": None,
    f"{OBJECTS}:pull_objects": f"object_ids pull_object_fn {_PULL}",
    f"{OBJECTS}:pull_and_inflate_object_from_tree": "object_tree pull_object_fn"
    f" confirm_object_received_fn return_type {_PULL}",
    f"{CLIENT_TASK}:run_clientapp": _TASK.format(""),
    f"{CLIENT_TASK}:install_from_fab": "fab_file install_dir skip_prompt",
    f"{SERVER_TASK}:run_serverapp": _TASK.format("log_queue"),
    f"{SERVER_TASK}:install_from_fab": "fab_file install_dir skip_prompt",
}


def require_supported() -> None:
    """Raise :class:`ConfigurationError` with all differences of the installed Flower, if any."""
    if found := differences():
        raise ConfigurationError(
            "; ".join(found), f"flwr {FLOWER}", f'pip install "flwr[simulation]=={FLOWER}.*"'
        )


def differences() -> list[str]:
    """Return the differences of the installed Flower from the expected one, in words."""
    version = metadata.version("flwr")
    # For another version its number says enough; the list of names would be long.
    if not version.startswith(f"{FLOWER}."):
        return [f"flwr {version}"]
    pairs = [(name, _parameters(name), expected) for name, expected in EXPECTED.items()]
    return [
        f"no {name}" if found is None else f"{name} takes ({found})"
        for name, found, expected in pairs
        if found is None or (expected is not None and found.split() != expected.split())
    ]


def _parameters(name: str) -> str | None:
    """Return the parameters of ``module:attribute``, "" for a value, or None if it is missing."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return None
    return " ".join(inspect.signature(found).parameters) if callable(found) else ""
