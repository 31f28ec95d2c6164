// What the dashboards have in common: variables, annotations, links, and queries on the series that monitoring/rules records.

local inBins = import 'bins.libsonnet';
local links = import 'links.libsonnet';
local g = import 'panels.libsonnet';

// Which series: those of the selected services, and those of the selected model.
local services = 'cluster=~"$cluster",job=~"$job"';
local model = services + ',model=~"$model",version=~"$version"';

// Those of drift.
local windows = ['25s', '10m', '1h', '1d'];

{
  services:: services,
  model:: model,

  // The routes for predictions, of which each protocol has its own; the same pattern as in the rules.
  predictions:: 'endpoint=~"/predict|/invocations|/v1/.+:predict|/v2/.+/infer"',

  // The greatest value of a recorded series over the selected services, by these labels and, if there are several versions, by
  // version.
  recorded(metric, labels='', by=[], aggregate='max')::
    '%s by (%s) (%s{%s%s})' % [aggregate, std.join(', ', by + ['$by_version']), metric, model, if labels == '' then '' else ',' + labels],

  // Figures that come from the bins of one signal over the drift window: shares of the rows in each bin and in the reference, their
  // parts of the PSI, and distances. `signal` is a matcher, and `bins` selects bins.
  observed(signal, bins=''):: self.perBin(inBins.observed(self.ofSignal(signal), bins)),
  expected(signal):: self.perBin(inBins.expected(self.ofSignal(signal))),
  contribution(signal, bins=''):: self.perBin(inBins.contribution(self.ofSignal(signal), bins)),
  jsDistance(signal):: self.perSignal(inBins.jsDistance(self.ofSignal(signal))),
  ksDistance(signal):: self.perSignal(inBins.ksDistance(self.ofSignal(signal))),
  ofSignal(signal):: '%s,%s' % [model, signal],
  perBin(expr):: 'max by (bin) (%s)' % expr,
  perSignal(expr):: 'max by ($by_version) (%s)' % expr,
  // The bins of predicted numbers; nothing for models that predict classes.
  observedNumbers(bins)::
    self.perBin('%s and on (cluster, job, model, version) model:feedback_absolute_error:predicts_number{%s}' % [inBins.observed(self.ofSignal('signal="prediction"'), bins), model]),

  // Bins in their order, for stacked areas: a selector for each group.
  binGroups:: ['bin="below"', 'bin!~"below|above|other|missing"', 'bin="above"', 'bin="other"', 'bin="missing"'],

  // Adds a label `position` to series of bins, which sorts them: below the range, quantiles or categories, above the range,
  // other categories, missing values.
  positioned(bins)::
    local place(series, at, bin) = 'label_replace(%s, "position", "%s", "bin", "%s")' % [series, at, bin];
    place(place(place(place(place(bins, '1', '.*'), '0', 'below'), '2', 'above'), '3', 'other'), '4', 'missing'),

  // One query for each window, in their order. `expr` is a function of the matcher of the window.
  eachWindow(legend, expr):: [
    g.query(legend, expr('window="%s"' % window))
    for window in windows
  ],
  // Adds a label `order` to series of windows, which sorts them from the shortest to the longest.
  orderedWindows(expr)::
    std.foldl(
      function(series, at) 'label_replace(%s, "order", "%d", "window", "%s")' % [series, at, windows[at]],
      std.range(0, std.length(windows) - 1),
      expr
    ),

  // Variables. `services` are all that are watched; `oneModel` and what follows it depend on each other in this order.
  cluster:: g.labelVariable('cluster', 'Cluster', 'label_values(model_loaded, cluster)', allValue='.*', description='Empty if the targets have no label cluster.'),
  job:: g.labelVariable('job', 'Job', 'label_values(model_loaded{cluster=~"$cluster"}, job)', allValue='.+'),
  oneModel:: g.labelVariable('model', 'Model', 'label_values(signal_reference_rows{cluster=~"$cluster"}, model)', many=false),
  // "All" is the jobs and instances of the model, so that requests to other models are not counted.
  jobOfModel:: g.labelVariable('job', 'Job', 'label_values(signal_reference_rows{cluster=~"$cluster",model=~"$model"}, job)'),
  version:: g.labelVariable('version', 'Version', 'label_values(signal_reference_rows{%s,model=~"$model"}, version)' % services, allValue='.+'),
  instanceOfModel(description):: g.labelVariable('instance', 'Instance', 'label_values(signal_reference_rows{%s}, instance)' % model, description=description),
  window:: g.choiceVariable('window', 'Drift window', 'The short window shows large drift soon, the day shows small drift.', windows),
  feedbackWindow:: g.choiceVariable('feedback_window', 'Feedback window', 'The window of the figures about accuracy: feedback that arrived within the hour or the day.', ['1h', '1d']),
  byJob:: g.groupingVariable('by_job', 'job', 'model_loaded{%s}' % services),
  byVersion:: g.groupingVariable('by_version', 'version', 'model:signal_reference_rows:max{%s}' % model),

  annotations:: [
    g.alertAnnotations,
    g.queryAnnotations(
      'Phases of the load generator',
      'purple',
      'max by (scenario, phase) (loadgen_phase_active) > 0',
      step='5s',
      title='{{phase}}',
      text='{{scenario}}',
      tags=['scenario', 'phase'],
    ),
  ],

  links:: [
    g.dashboardLinks(self.tag),
    g.link('Runbook', links.runbook, 'What each alert means, where to look, and what to do'),
    g.link('Alertmanager', links.alertmanager, 'Alerts with links to their sections in the runbook, and silences'),
    g.link('Drill', links.drill, 'The live page and report of the load generator, while a scenario runs'),
  ],
  tag:: 'model-vitals',

  // Addresses of the other dashboards. `query` selects what they show.
  modelPage(query):: '/d/ml-inference?%s&${__url_time_range}' % query,
  signalPage(query):: '/d/ml-signal?%s&${__url_time_range}' % query,
  // The alerts of this name in Alertmanager.
  alertPage(alert):: '%s?filter=%%7Balertname%%3D%%22%s%%22%%7D' % [links.alertmanager, alert],
  selected(names):: std.join('&', ['${%s:queryparam}' % name for name in names]),
}
