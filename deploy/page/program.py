"""Serve a site's page on loopback: ``python -P -m deploy.page.program CONFIG.json``."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import uvicorn

from deploy.page.app import page_app
from deploy.page.config import PageConfig
from deploy.page.tokens import read_token
from deploy.page.watching import Watcher
from deploy.processes.config import load_config
from deploy.processes.private import keep_private
from strategies.errors import SrflmError

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 256
"""More at once are answered with 503 before anything is done for them."""


def server(config: PageConfig, token: str) -> uvicorn.Server:
    """Return the web server, which logs no request: the address may hold the token."""
    return uvicorn.Server(
        uvicorn.Config(
            page_app(Watcher(config), token),
            host=LOOPBACK,
            port=config.port,
            http="h11",
            loop="asyncio",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )


def main() -> None:
    """Read the configuration, and serve until SIGTERM."""
    keep_private()
    try:
        config = load_config(PageConfig, Path(sys.argv[1]))
        token = read_token(config.token)
    except SrflmError as error:
        sys.exit(str(error))
    gc.collect()
    gc.freeze()
    server(config, token).run()


if __name__ == "__main__":
    main()
