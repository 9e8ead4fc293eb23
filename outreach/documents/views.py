"""Pages of what is written from the ledger."""

from flask import g, render_template
from flask.typing import ResponseReturnValue

from outreach.campaigns.scope import campaign_blueprint
from outreach.documents.basic_facts import write_basic_facts

bp = campaign_blueprint("documents", __name__)


@bp.get("/basic-facts")
def basic_facts() -> ResponseReturnValue:
    return render_template("documents/basic_facts.html", facts=write_basic_facts(g.campaign))
