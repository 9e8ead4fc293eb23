from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("gifts", __name__)
