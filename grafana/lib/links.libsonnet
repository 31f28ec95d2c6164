// The links at the top of every dashboard. The addresses are those of the Compose stack and of `just demo` as seen from a
// browser on the same machine: change them here for an installation of your own, and run `just dashboards`.

local g = import 'panels.libsonnet';

[
  g.link('Alertmanager', 'http://localhost:9093/#/alerts', 'Silences and notifications of the alerts, each with a link to its section in the runbook'),
  g.link('Drill', 'http://localhost:5665/', 'The live page and report of the load generator, while a scenario runs'),
]
