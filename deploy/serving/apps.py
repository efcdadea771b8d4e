"""The Flower apps of a deployed site: a ServerApp for one job, and a ClientApp for messages.

The agreed bundle names these two. The environment variable SRFLM_SITE tells them their site's
folder; only the site's own supervisor sets it.
"""

from __future__ import annotations

from logging import INFO

from flwr.app import Context, Message
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp

from deploy.serving.job import ServerJob
from deploy.serving.term_server import perform
from deploy.site.deployed_site import PEER, deployed_site
from srflm_flower.client_app import answer_at, make_client_app

server = ServerApp()


@server.main()
def serve(grid: Grid, context: Context) -> None:
    """Do the launcher's task, which is in the run configuration."""
    task = ServerJob.model_validate_json(str(context.run_config["task"]))
    log(INFO, "%s", perform(deployed_site(), task, grid).result)


def answer(message: Message, context: Context) -> Message:
    """Answer a message from the SuperLink of the peer in this node's configuration."""
    return answer_at(deployed_site, message, str(context.node_config[PEER]))


client = make_client_app(answer)
