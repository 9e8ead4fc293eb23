from flask import flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import audit, clock, jobs
from outreach.campaigns.models import CampaignStatus
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.digests import queries, services
from outreach.digests.figures import Direction, Figures
from outreach.errors import Refused

bp = campaign_blueprint("digests", __name__)


@bp.get("/digests")
def list_digests() -> ResponseReturnValue:
    digests = queries.list_digests(g.campaign)
    is_due = services.week_number(g.campaign, clock.today()) >= 1
    return render_template(
        "digests/list.html",
        digests=[(digest, Figures.model_validate(digest.figures)) for digest in digests],
        can_build=g.campaign.status is CampaignStatus.RUNNING
        and is_due
        and queries.find_digest(g.campaign, clock.today()) is None,
        may_be_out=services.may_be_out(g.campaign, clock.today()),
    )


@bp.get("/digests/<int:digest_id>")
def digest(digest_id: int) -> ResponseReturnValue:
    digest = queries.get_digest(g.campaign, digest_id)
    return render_template(
        "digests/digest.html",
        digest=digest,
        figures=Figures.model_validate(digest.figures),
        Direction=Direction,
    )


@bp.post("/digests")
def build_now() -> ResponseReturnValue:
    if g.campaign.status is not CampaignStatus.RUNNING:
        raise Refused(_("活动不在进行中，不生成周报。"))
    digest = services.build_digest(g.campaign, clock.today())
    if digest is None:
        raise Refused(_("本周的周报已经生成，或活动第一周还没有结束。"))
    audit.record("build.digest", f"digest:{digest.id}")
    db.session.commit()
    jobs.wake("deliver")
    flash(_("周报已生成，并已发给秘书处。"), "success")
    return redirect(url_for("digests.digest", digest_id=digest.id))
