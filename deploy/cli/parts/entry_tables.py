"""The tables of a federation file for the entry points of an installed distribution."""

from __future__ import annotations

from strategies.errors import ConfigurationError

TABLES = {
    "srflm.networks": ("model", "network"),
    "srflm.tasks": ("task", "kind"),
    "srflm.aggregations": ("aggregation", "rule"),
    "srflm.elections": ("election", "policy"),
}


def entry_tables(name: str) -> str:
    """Return TOML that names each entry point; raises :class:`ConfigurationError` for none."""
    import tomlkit

    from strategies.extensions import entries_of, installed, installed_digest

    distribution = installed(name)
    entries = entries_of(distribution)
    if not entries:
        raise ConfigurationError(
            f"{name} without an entry point in {', '.join(TABLES)}",
            "a distribution that has one",
            "declare it in the distribution's pyproject.toml; see docs/how-to/extend.md",
        )
    digest, parts = installed_digest(distribution), []
    for group, entry in entries:
        table, setting = TABLES[group]
        pins = {"name": entry, "distribution": distribution.name}
        pins |= {"version": distribution.version, "sha256": digest}
        parts.append(tomlkit.dumps({table: {setting: "entry", "entry": pins}}))
    return "\n".join(parts)
