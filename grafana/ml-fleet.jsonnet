// The dashboard of all models: a row per model. `just dashboards` writes dashboards/ml-fleet.json from it.
//
// A thousand models have to remain usable, so queries read recorded series only, no panel is repeated for each model, and what is
// in trouble comes first.

local m = import 'lib/models.libsonnet';
local g = import 'lib/panels.libsonnet';

local perModel = 'cluster, job, model';
local services = m.services + ',model=~"$models"';

// 1 for each model that was scraped in the time range, so that a model whose service is down stays in the list.
local models = 'group by (%s) (last_over_time(model:signal_reference_rows:max{%s}[$__range]))' % [perModel, services];

// Figures of a service, for each of its models.
local ofJob(expr) = '%s * on (cluster, job) group_left () %s' % [models, expr];
local vital(metric) = ofJob('max by (cluster, job) (%s{%s,%s})' % [metric, m.services, m.predictions]);

// How many alerts of a severity fire, for each model: those about it and those about its service.
local firing(severity) =
  local alerts = m.services + ',alertname=~"Model.+",alertstate="firing",severity=~"%s"' % severity;
  local distinct(labels, selector) = 'count by (%s) (group by (%s, alertname) (ALERTS{%s,%s}))' % [labels, labels, alerts, selector];
  'sum by (%s) (label_replace(%s, "of", "model", "", "") or label_replace(%s, "of", "job", "", ""))' % [
    perModel,
    distinct(perModel, 'model=~"$models",model!=""'),
    ofJob(distinct('cluster, job', 'model=""')),
  ];

// Signals that drift, in the window in which most do.
local drifting = 'max by (%s) (model_window:signal_bin:drifting_signals{%s})' % [perModel, services];

local verdicts = [
  [4, 'critical', 'dark-red'],
  [3, 'warning', 'orange'],
  [2, 'drifting', 'yellow'],
  [1, 'cannot tell', '#808080'],
  [0, 'healthy', 'green'],
];
// The first that applies.
local verdict = '4 * (%s) ^ 0 or 3 * (%s) ^ 0 or 2 * (%s > 0) ^ 0 or 0 * (%s) or %s' % [
  firing('critical'),
  firing('warning'),
  drifting,
  drifting,
  models,
];

local noModels = 'No model was scraped in this time range.';

g.dashboard(
  'ml-fleet',
  'Model fleet',
  |||
    All models: which are in trouble, and which figures show it. Click a model for its page.
  |||,
  ['model', 'fleet', m.tag],
  refresh='30s',
  variables=[
    g.datasourceVariable,
    m.cluster,
    m.job,
    g.labelVariable('models', 'Models', 'label_values(signal_reference_rows{%s}, model)' % m.services, allValue='.+'),
    m.feedbackWindow,
  ],
  annotations=m.annotations,
  links=m.links,
  sections=[
    g.section('Overview', [
      g.line(4, [
        g.stat('Models by verdict', |||
          How many models there are, by the most serious that applies: a critical alert fires, a warning fires, a signal drifts in
          a window or more, there are too few rows for a verdict, or none of these.
        |||, 'none', [
          g.instant(state[1], 'count((%s) == %d) or vector(0)' % [verdict, state[0]])
          for state in verdicts
        ])
        + { fieldConfig+: { overrides: [
          { matcher: g.named(state[1]), properties: [g.color(state[2])] }
          for state in verdicts
        ] } },
      ]),
      g.line(9, [
        g.timeseries('Requests', |||
          Requests for predictions per second over the last minute, of all services together.
        |||, 'reqps', [
          g.query('requests', 'sum(job_endpoint:inference_requests:rate1m{%s,%s})' % [m.services, m.predictions]),
        ])
        + g.namesOnly
        + g.fill(10)
        + g.noData('No requests for predictions in this time range.'),
        g.timeseries('Models with signals that drift', |||
          Number of models of which a signal drifts, in each window.
        |||, 'short', m.eachWindow('{{window}}', function(window)
          local signals = 'model_window:signal_bin:drifting_signals{%s,%s}' % [services, window];
          'count by (window) (max by (%s, window) (%s) > 0) or 0 * count by (window) (%s)' % [perModel, signals, signals]))
        + g.namesOnly
        + g.decimals(0)
        + g.softMax(5)
        + g.noData('No verdict in this time range: fewer than 60 rows in every window.'),
        g.timeseries('Alerts firing', |||
          Number of models or services for which each alert fires. Red: critical. Orange: a warning.
        |||, 'short', [
          g.query('{{severity}}: {{alertname}}', 'count by (severity, alertname) (group by (%s, severity, alertname) (ALERTS{%s,alertname=~"Model.+",alertstate="firing"}))' % [perModel, m.services]),
        ])
        + g.override(g.matching('/^critical/'), [g.shades('red')])
        + g.override(g.matching('/^warning/'), [g.shades('orange')])
        + g.fill(60)
        + g.stacked('normal')
        + g.noLines
        + g.stepwise
        + g.decimals(0)
        + g.softMax(5)
        + g.noData('No alert fired in this time range.'),
      ]),
    ]),
    g.section('Models', [
      g.line(18, [
        g.tablePanel('Models', |||
          One row per model, the most serious verdict first. Requests, errors and p95 are those of the service over the last minute;
          of several protocols, errors and p95 are the worst. Drifting: signals that drift, in the window in which most do. Accuracy and drop
          below the reference: by the feedback in the window. Alerts: those that fire for the model or its service.
        |||, 'none', [
          g.table('verdict', verdict),
          g.table('requests', ofJob('sum by (cluster, job) (job_endpoint:inference_requests:rate1m{%s,%s})' % [m.services, m.predictions])),
          g.table('4xx', vital('job_endpoint:inference_requests_4xx:ratio_rate1m')),
          g.table('5xx', vital('job_endpoint:inference_requests_5xx:ratio_rate1m')),
          g.table('p95', vital('job_endpoint:inference_duration_seconds:p95_rate1m')),
          g.table('drifting', drifting),
          g.table('accuracy', 'min by (%s) (model_window:feedback:accuracy{%s,window="$feedback_window"})' % [perModel, services]),
          g.table('drop', 'max by (%s) (model_window:feedback:accuracy_drop{%s,window="$feedback_window"})' % [perModel, services]),
          g.table('alerts', '%s or 0 * %s' % [firing('.+'), models]),
          g.table('replicas', 'sum by (%s) (model:model_info:replicas{%s})' % [perModel, services]),
          g.table('versions', 'count by (%s) (model:model_info:replicas{%s} > 0)' % [perModel, services]),
          g.table('page value', 'group by (%s, page) (label_replace(%s, "page", "var-cluster=$1", "cluster", "(.*)"))' % [perModel, models]),
        ], sort='verdict', labels=['model', 'job', 'cluster'])
        + g.emptyCells('–')
        + g.override(g.named('model'), [
          g.filterable,
          g.address('Open ${__value.text}', m.modelPage('${__data.fields.page}&var-model=${__value.raw}&var-job=${__data.fields.job}')),
        ])
        + g.override(g.named('job'), [g.filterable])
        + g.override(g.named('verdict'), [g.states(verdicts), g.colorBackground, g.centered, g.columnWidth(110)])
        + g.override(g.named('requests'), [g.unit('reqps')])
        + g.override(g.matching('/^(4xx|5xx|accuracy|drop)$/'), [g.unit('percentunit'), { id: 'decimals', value: 1 }])
        + g.override(g.named('p95'), [g.unit('s')])
        + g.override(g.matching('/^page/'), [g.hidden])
        + g.pages
        + g.noData(noModels),
      ]),
    ]),
    g.section('Alerts', [
      g.line(9, [
        g.tablePanel('Alerts firing now', |||
          Each alert that fires, for which service and model, how serious it is, and how many series of it fire, such as one per
          signal and window. An alert without a model is about the service. Click an alert for Alertmanager, which links to the
          runbook.
        |||, 'none', [
          g.table('firing', 'count by (severity, alertname, cluster, job, model) (ALERTS{%s,alertname=~"Model.+",alertstate="firing"})' % m.services),
        ], sort='severity', desc=false, labels=['severity', 'alertname', 'model', 'job', 'cluster'])
        + g.override(g.named('severity'), [g.words([['critical', 'dark-red'], ['warning', 'orange']]), g.colorBackground, g.centered, g.columnWidth(110)])
        + g.override(g.named('alertname'), [g.address('Open in Alertmanager', m.alertPage('${__value.raw}'))])
        + g.emptyCells('–')
        + g.pages
        + g.noData('No alert fires.'),
      ]),
    ]),
  ],
)
