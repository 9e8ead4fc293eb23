from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("visits", __name__)
