from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("campaigns", __name__)
