"""Write the configuration of a site's page, and say under which address it is open.

Only this file of the page knows the site's settings, and so imports Flower; the page's own program
does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clients.files.durable import write_durably
from clients.privacy.ledger.policy import budget
from clients.tasks.settings import metric_title
from deploy.edge.ports import LOOPBACK, free_block, is_free
from deploy.page.config import Files, PageConfig, PrivacyPlan
from deploy.page.tokens import keep_token, read_token
from deploy.processes.config import load_config
from deploy.processes.supervisor import Program, python_module
from deploy.site.diagnosis import diagnosis_file
from deploy.site.layout import Layout
from deploy.site.site_on_disk import SiteOnDisk
from srflm_flower.site.outgoing import DECLARED, WEIGHTS
from strategies.errors import ConfigurationError, SrflmError
from strategies.phases import PHASE_OF, PHASES
from strategies.protocol import messages as wire

PROGRAM = "page"
BY_HAND = "page-by-hand"
TOKEN = "page.token"
SENT_MODELS = "models that the answer hands over", "what DP-SGD gives out, in a private federation"


@dataclass(frozen=True)
class Address:
    """Where a page is: ``entrance`` signs a browser in, ``url`` is for one that is signed in."""

    url: str
    entrance: str


def page_program(site: SiteOnDisk, layout: Layout) -> Program | None:
    """Write the configuration of a site's page, and its token; None if the site shows no page.

    Raises :class:`strategies.errors.ConfigurationError` when the port that the settings name is in
    use.
    """
    if not site.settings.page.show:
        return None
    config = write_config(site, layout, PROGRAM, site.settings.page.port)
    return Program(PROGRAM, command_of(config))


def write_config(site: SiteOnDisk, layout: Layout, name: str, port: int | None) -> Path:
    """Write the configuration of a page on ``port``, or on a free one; return its path."""
    require_port(port)
    chosen = port if port is not None else free_block(1)
    config = page_config(site, layout, chosen)
    keep_token(config.token)
    path = layout.config(name)
    write_durably(path, config.model_dump_json().encode())
    return path


def require_port(port: int | None) -> None:
    """Raise :class:`ConfigurationError` for a port that is in use."""
    if port is not None and not is_free(port):
        raise ConfigurationError(
            f"the port {port} for the site's page, which is in use",
            "a free loopback port",
            "end the program that uses it, or change `port` in [page] of site.toml (left out, the"
            " site chooses a free one)",
        )


def command_of(config: Path) -> list[str]:
    """Return the command that serves the page of a configuration."""
    return python_module("deploy.page.program", str(config))


def page_config(site: SiteOnDisk, layout: Layout, port: int) -> PageConfig:
    """Return all that the page's program must know about its site."""
    federation, metric = site.federation, site.federation.task.metric
    return PageConfig(
        vendor=site.vendor,
        name=federation.name,
        edition=federation.edition,
        first=federation.first_edition,
        first_ranking=federation.first_ranking,
        election=federation.election,
        server_terms=federation.server_terms,
        rounds=federation.run.rounds,
        metric=metric,
        metric_title=metric_title(metric) or metric,
        privacy=_plan(site),
        phases=PHASE_OF,
        in_full=PHASES,
        commit=wire.COMMIT,
        fields={
            WEIGHTS: SENT_MODELS,
            **{name: (each.what, each.protection) for name, each in DECLARED.items()},
        },
        files=Files(
            ledger=layout.state / "ledger.sqlite",
            audit=layout.state / "audit.jsonl",
            cases=layout.state / "cases.html",
            doctor=diagnosis_file(layout.state),
            logs=layout.logs,
            edge_logs=layout.edge / "logs",
            identity=layout.identity,
            notes=layout.up,
            lock=layout.lock,
            training=layout.state / "training.lock",
        ),
        token=layout.state / TOKEN,
        port=port,
    )


def address_of(layout: Layout, name: str = PROGRAM) -> Address | None:
    """Return where the page of a site is that is up; None without one."""
    try:
        config = load_config(PageConfig, layout.config(name))
        token = read_token(config.token)
    except SrflmError:
        return None
    url = f"http://{LOOPBACK}:{config.port}/"
    return Address(url, f"{url}enter?token={token}")


def _plan(site: SiteOnDisk) -> PrivacyPlan | None:
    privacy = site.federation.privacy
    if not privacy.private:
        return None
    own = budget(privacy, site.settings.privacy)
    unit = "patient" if privacy.unit == "patient" else "record"
    return PrivacyPlan(epsilon=privacy.epsilon, delta=privacy.delta, unit=unit, limit=own.epsilon)
