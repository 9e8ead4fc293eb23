from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("overview", __name__)
