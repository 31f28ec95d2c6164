// Where the links at the top of the dashboards lead. Those of Alertmanager and of the drill are addresses of the Compose stack and of
// `just demo`, as a browser on the same machine sees them. Change them here for an installation of your own, and run `just dashboards`.
{
  // `just runbook-url ADDRESS` sets it, also for the links of alerts.
  runbook: std.stripChars(importstr '../../monitoring/runbook_url', '\n'),
  alertmanager: 'http://localhost:9093/#/alerts',
  drill: 'http://localhost:5665/',
}
