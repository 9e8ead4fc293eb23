from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("digests", __name__)
