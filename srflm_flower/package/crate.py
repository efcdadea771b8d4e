"""The package as an RO-Crate 1.2, by the Five Safes profile 0.4 as far as it applies.

The profile (https://w3id.org/5s-crate/0.4) is made for a workflow that a trusted research
environment runs on request.  A federation's training is described as one: its federation file is
the workflow, in a crate of its own (Workflow RO-Crate 1.0).  Reviews are actions of the
environment that receives the crate, which must drop those of a sender; so there are none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from srflm_flower.package.about import AboutSettings
from srflm_flower.package.card import ModelCard
from srflm_flower.package.manifest import Listed

METADATA = "ro-crate-metadata.json"
WORKFLOW = "workflow/"
FEDERATION = f"{WORKFLOW}federation.toml"
CRATE: Final = "https://w3id.org/ro/crate/1.2"
PROFILE: Final = "https://w3id.org/5s-crate/0.4"
WORKFLOW_PROFILE: Final = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
MODEL, CARD, CARD_DATA = "global.safetensors", "model-card.md", "model-card.json"
LEDGER, REPORT = "certified-ledger.jsonl", "report.html"

_NAMES: Mapping[str, tuple[str, str]] = {
    MODEL: ("Weights of the released global model", "application/octet-stream"),
    CARD: ("Model card", "text/markdown"),
    CARD_DATA: ("Model card as data", "application/json"),
    LEDGER: ("Term records with the votes that committed them", "application/jsonl"),
    REPORT: ("Report of the run", "text/html"),
    FEDERATION: ("The agreed federation file", "application/toml"),
    f"{WORKFLOW}{METADATA}": ("Description of the workflow", "application/ld+json"),
}

Entity = dict[str, Any]


def missing_for_profile(about: AboutSettings) -> list[str]:
    """Return what the profile requires and only people know; with it, the crate names the profile.

    Without it, the crate is an RO-Crate that follows the profile in all else.
    """
    tables = {"requester": about.requester, "project": about.project}
    return [name for name, table in tables.items() if table is None]


def crate(card: ModelCard, about: AboutSettings, files: Mapping[str, Listed]) -> bytes:
    """Return ``ro-crate-metadata.json`` for these ``files`` (name → hash and size)."""
    conforms = not missing_for_profile(about)
    agent, people = _agent(card, about)
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Model of the federation {card.federation}",
        "description": f"{card.outcome}. {card.intended_use}",
        "datePublished": card.made_on,
        "license": {"@id": "#licence"},
        "publisher": {"@id": f"#vendor-{card.made_by}"},
        "hasPart": [{"@id": name} for name in sorted(files) if not name.startswith(WORKFLOW)]
        + [{"@id": WORKFLOW}],
        "mainEntity": {"@id": WORKFLOW},
        "mentions": [{"@id": "#training"}],
    }
    if conforms:
        root["conformsTo"] = {"@id": PROFILE}
    if about.project is not None:
        root["sourceOrganization"] = {"@id": "#project"}
    entities = [
        _descriptor(),
        root,
        _workflow(files),
        *(_file(name, files[name]) for name in sorted(files)),
        _training(card, agent, files),
        *people,
        *_organisations(card),
        *_project(card, about),
        {"@id": "#licence", "@type": "CreativeWork", "name": card.licence},
        {
            "@id": "#software",
            "@type": "SoftwareApplication",
            "name": "srflm-flower",
            "version": card.versions.get("srflm-flower", ""),
        },
        {
            "@id": WORKFLOW_PROFILE,
            "@type": ["CreativeWork", "Profile"],
            "name": "Workflow RO-Crate",
        },
    ]
    if conforms:
        profile = {"@id": PROFILE, "@type": ["CreativeWork", "Profile"]}
        entities.append({**profile, "name": "Five Safes RO-Crate profile", "version": "0.4"})
    return _written(entities)


def workflow_crate(card: ModelCard, federation: Listed) -> bytes:
    """Return the metadata of the inner crate, whose workflow is the federation file."""
    name = FEDERATION.removeprefix(WORKFLOW)
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Training in the federation {card.federation}",
        "description": "The agreed federation file, which srflm-flower carries out.",
        "datePublished": card.made_on,
        "license": {"@id": "#licence"},
        "conformsTo": {"@id": WORKFLOW_PROFILE},
        "hasPart": [{"@id": name}],
        "mainEntity": {"@id": name},
    }
    workflow: Entity = {
        **_file(name, federation),
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": _NAMES[FEDERATION][0],
        "encodingFormat": _NAMES[FEDERATION][1],
        "programmingLanguage": {"@id": "#srflm"},
    }
    language = {
        "@id": "#srflm",
        "@type": "ComputerLanguage",
        "name": "federation.toml of srflm-flower",
        "version": card.versions.get("srflm-flower", ""),
    }
    licence = {"@id": "#licence", "@type": "CreativeWork", "name": card.licence}
    return _written([_descriptor(), root, workflow, language, licence])


def _written(entities: list[Entity]) -> bytes:
    tree = {"@context": f"{CRATE}/context", "@graph": entities}
    return (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode()


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": CRATE},
    }


def _workflow(files: Mapping[str, Listed]) -> Entity:
    return {
        "@id": WORKFLOW,
        "@type": "Dataset",
        "name": "The federation file as a workflow",
        "conformsTo": {"@id": WORKFLOW_PROFILE},
        "hasPart": [{"@id": name} for name in sorted(files) if name.startswith(WORKFLOW)],
    }


def _file(name: str, listed: Listed) -> Entity:
    title, form = _NAMES.get(name, (name, "application/octet-stream"))
    return {
        "@id": name,
        "@type": "File",
        "name": title,
        "encodingFormat": form,
        "contentSize": str(listed.size),
        "sha256": listed.sha256,
    }


def _training(card: ModelCard, agent: str, files: Mapping[str, Listed]) -> Entity:
    # No startTime and endTime: term records have no clock, as no site could check another's.
    results = [name for name in (MODEL, LEDGER) if name in files]
    return {
        "@id": "#training",
        "@type": "CreateAction",
        "name": f"Training in {card.terms} terms: {card.outcome}",
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "agent": {"@id": agent},
        "instrument": [{"@id": WORKFLOW}, {"@id": "#software"}],
        "object": [{"@id": FEDERATION}],
        "participant": [{"@id": f"#vendor-{name}"} for name in card.vendors],
        "result": [{"@id": name} for name in results],
    }


def _agent(card: ModelCard, about: AboutSettings) -> tuple[str, list[Entity]]:
    person = about.requester
    if person is None:
        return f"#vendor-{card.made_by}", []
    entity: Entity = {
        "@id": person.orcid or "#requester",
        "@type": "Person",
        "name": person.name,
        "affiliation": {"@id": "#affiliation"},
    }
    if about.project is not None:
        entity["memberOf"] = {"@id": "#project"}
    organisation = {"@id": "#affiliation", "@type": "Organization", "name": person.organisation}
    return entity["@id"], [entity, organisation]


def _organisations(card: ModelCard) -> list[Entity]:
    return [
        {
            "@id": f"#vendor-{name}",
            "@type": "Organization",
            "name": name,
            "description": f"Vendor of the federation {card.federation}",
        }
        for name in dict.fromkeys([*card.vendors, card.made_by])
    ]


def _project(card: ModelCard, about: AboutSettings) -> list[Entity]:
    if about.project is None:
        return []
    entity: Entity = {
        "@id": "#project",
        "@type": "Project",
        "name": about.project.name,
        "member": [{"@id": f"#vendor-{name}"} for name in card.vendors],
    }
    if about.project.identifier is not None:
        entity["identifier"] = about.project.identifier
    return [entity]
