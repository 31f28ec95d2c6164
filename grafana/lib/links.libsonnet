// Where the links at the top of the dashboards lead: addresses of the Compose stack and of `just demo`, as a browser on the same
// machine sees them. Change them here for an installation of your own, and run `just dashboards`.
{
  alertmanager: 'http://localhost:9093/#/alerts',
  drill: 'http://localhost:5665/',
}
