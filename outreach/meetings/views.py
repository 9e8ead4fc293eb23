from outreach.campaigns.scope import campaign_blueprint

bp = campaign_blueprint("meetings", __name__)
