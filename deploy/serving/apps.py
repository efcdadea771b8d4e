"""The Flower apps of a deployed site: its ServerApp does one job and ends, its ClientApp answers.

The agreed bundle names these two.  The environment variable SRFLM_SITE of the process that runs
them says which site they belong to; only the site's own supervisor sets it.
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
    """Do the task that the site's launcher has handed over in the run configuration."""
    task = ServerJob.model_validate_json(str(context.run_config["task"]))
    log(INFO, "%s", perform(deployed_site(), task, grid).result)


def answer(message: Message, context: Context) -> Message:
    """Answer a message from the SuperLink of the peer in this node's configuration."""
    return answer_at(deployed_site, message, str(context.node_config[PEER]))


client = make_client_app(answer)
