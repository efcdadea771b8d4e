"""``srflm data``: a site's own images, in a folder (``images``) and at its PACS (``pacs``)."""

from __future__ import annotations

from deploy.cli.data import images, pacs

app = images.app
app.command("pull")(pacs.pull)
app.command("store")(pacs.store)
