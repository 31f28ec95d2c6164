// The dashboard of a model service. `just dashboards` writes dashboards/ml-inference.json from it.

local g = import 'lib/panels.libsonnet';

// Adds a label `position` to series of bins, which sorts them: below the range, quantiles or categories, above the range, other
// categories, missing values.
local positioned(bins) =
  local place(series, at, bin) = 'label_replace(%s, "position", "%s", "bin", "%s")' % [series, at, bin];
  place(place(place(place(place(bins, '1', '.*'), '0', 'below'), '2', 'above'), '3', 'other'), '4', 'missing');

// The routes for predictions, of which each protocol has its own; the same pattern as in the rules.
local predictions = 'endpoint=~"/predict|/invocations|/v1/.+:predict|/v2/.+/infer"';

// A figure of the errors of predicted numbers with its 95 % interval and, dashed, its value on the reference.
local errorFigure(title, description, figure, min) =
  local recorded(name, aggregate='max') = '%s by (version) (model_window:feedback:%s{job=~"$job",version=~"$version",window="$feedback_window"})' % [aggregate, name];
  g.timeseries(title, description, 'none', [
    g.query('{{version}}', recorded(figure)),
    g.query('reference {{version}}', 'max by (version) (model:model_reference_%s:max{job=~"$job",version=~"$version"})' % figure),
    g.query('95 % interval, low', recorded(figure + '_low', 'min')),
    g.query('95 % interval, high', recorded(figure + '_high')),
  ], min=min)
  + g.override(g.matching('/^(?!reference|95)/'), [g.color('blue')])
  + g.override(g.matching('/^reference/'), [g.color('#808080')] + g.dashed)
  + g.band('95 % interval, low', '95 % interval, high', 'blue')
  + g.noData('Cannot tell: no model that predicts numbers, or fewer than 60 rows with feedback.')
  + g.pooled;

// The bins of the predictions of models that predict numbers.
local predicted(bins) = 'max by (bin) (model_signal_bin_window:signal_bin:ratio{job=~"$job",version=~"$version",signal="prediction",bin=~"%s",window="$window"} and on (cluster, job, model, version) model:feedback_absolute_error:predicts_number{job=~"$job",version=~"$version"})' % bins;

// For panels about classes, which are empty for models that predict numbers.
local classesOnly(reason) = g.noData(reason + ' Models that predict numbers have panels of their own below.');

g.dashboard(
  'ml-inference',
  'Model health',
  |||
    Health of a served model: throughput, latency, errors, predictions, whether its inputs still follow the
    distribution of its training data, and whether its accuracy is what its confidence indicates.
  |||,
  ['model', 'drift'],
  variables=[
    g.datasourceVariable,
    g.labelVariable('job', 'Job', 'label_values(inference_requests_total, job)', allValue='.+'),
    g.labelVariable('instance', 'Instance', 'label_values(inference_requests_total{job=~"$job"}, instance)', allValue='.+'),
    g.labelVariable('version', 'Model version', 'label_values(signal_reference_rows{job=~"$job"}, version)', allValue='.+'),
    g.labelVariable('signal', 'Signal', 'label_values(signal_critical_chi2{job=~"$job"}, signal)', description='One chart of bins per signal.'),
    g.choiceVariable('window', 'Drift window', 'The short window shows large drift soon, the day shows small drift.', ['25s', '10m', '1h', '1d']),
    g.choiceVariable('feedback_window', 'Feedback window', 'The window of the panels about accuracy: feedback that arrived within the hour or the day.', ['1h', '1d']),
  ],
  annotations=[
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
  sections=[
    g.section('Vital signs', [
      g.line(8, [
        g.timeseries('Request throughput', |||
          Requests per second by HTTP status, over all endpoints.
        |||, 'reqps', [
          g.query('{{status}}', 'sum by (status) (rate(inference_requests_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))'),
        ])
        + g.fill(10)
        + g.override(g.matching('/^2/'), [g.color('green')])
        + g.override(g.matching('/^3/'), [g.color('blue')])
        + g.override(g.matching('/^4/'), [g.color('orange')])
        + g.override(g.matching('/^5/'), [g.color('red')]),
        g.timeseries('Latency', |||
          Time to answer requests for predictions over the last minute: median, p95, p99 and mean. The dashed line is
          the objective for p95, 250 ms, which ModelLatencyHigh watches.
        |||, 's', [
          g.query('p50 {{job}} {{endpoint}}', 'job_endpoint:inference_duration_seconds:p50_rate1m{job=~"$job",%s}' % predictions),
          g.query('p95 {{job}} {{endpoint}}', 'job_endpoint:inference_duration_seconds:p95_rate1m{job=~"$job",%s}' % predictions),
          g.query('p99 {{job}} {{endpoint}}', 'job_endpoint:inference_duration_seconds:p99_rate1m{job=~"$job",%s}' % predictions),
          g.query('mean {{job}} {{endpoint}}', 'job_endpoint:inference_duration_seconds:mean_rate1m{job=~"$job",%s}' % predictions),
        ], min=null)
        + g.logScale
        + g.limit(0.25)
        + g.pooled,
        g.timeseries('Error rate', |||
          Share of the requests for predictions over the last minute that were refused because of the client's error
          (4xx) or failed in the service (5xx). ModelBadInput watches the first, ModelErrorBudgetBurn the second.
        |||, 'percentunit', [
          g.query('4xx {{job}} {{endpoint}}', 'job_endpoint:inference_requests_4xx:ratio_rate1m{job=~"$job",%s}' % predictions),
          g.query('5xx {{job}} {{endpoint}}', 'job_endpoint:inference_requests_5xx:ratio_rate1m{job=~"$job",%s}' % predictions),
        ])
        + g.fill(10)
        + g.softMax(0.01)
        + g.override(g.matching('/^4xx/'), [g.color('orange')])
        + g.override(g.matching('/^5xx/'), [g.color('red')])
        + g.pooled,
      ]),
      g.line(8, [
        g.timeseries('Prediction distribution', |||
          Share of each class among the predictions of the last minute. The shares change when the inputs drift.
        |||, 'percentunit', [
          g.query('{{class}}', 'model_class:prediction_output:ratio_rate1m{job=~"$job",version=~"$version"}'),
        ])
        + g.max(1)
        + g.fill(60)
        + g.stacked('percent')
        + g.thinLines
        + classesOnly('No predicted classes in the last minute.')
        + g.pooled,
        g.timeseries('CPU usage', |||
          Processor cores in use by each instance.
        |||, 'short', [
          g.query('{{instance}}', 'rate(process_cpu_seconds_total{job=~"$job",instance=~"$instance"}[$__rate_interval]) and on (cluster, job, instance) model_loaded{job=~"$job",instance=~"$instance"}'),
        ])
        + g.fill(10),
        g.timeseries('Memory usage', |||
          Resident memory of each instance.
        |||, 'bytes', [
          g.query('{{instance}}', 'process_resident_memory_bytes{job=~"$job",instance=~"$instance"} and on (cluster, job, instance) model_loaded{job=~"$job",instance=~"$instance"}'),
        ])
        + g.fill(10),
      ]),
    ]),
    g.section('Drift', [
      g.line(9, [
        g.stateTimeline('Verdict', |||
          Whether the rows in the window follow the distribution of the reference. Drifting: the PSI is above its
          limit. Cannot tell: the window has fewer than 60 rows. ModelInputDrift, ModelPredictionDrift and
          ModelConfidenceDrop watch the same series; ModelCannotTell reports a version that has too few rows in every
          window.
        |||, [[-1, 'cannot tell', '#808080'], [0, 'steady', 'green'], [1, 'drifting', 'red']], [
          g.query('{{signal}} {{version}}', 'max by (version, signal) (model_signal_window:signal_bin:drifting{job=~"$job",version=~"$version",window="$window"}) or max by (version, signal) (0 * model_signal:signal_critical_chi2:max{job=~"$job",version=~"$version"} - 1)'),
        ])
        + g.pooled,
        g.stateTimeline('Alerts firing', |||
          Which alerts fire, and when. Each has a section in monitoring/runbook.md.
        |||, [[0, 'quiet', 'green'], [1, 'firing', 'red']], [
          g.query('{{alertname}}', 'max by (alertname) (ALERTS{job=~"$job",alertname=~"Model.+",alertstate="firing"}) or on () label_replace(vector(0), "alertname", "none", "", "")'),
        ]),
      ]),
      g.line(9, [
        g.timeseries('PSI against its limit', |||
          Population stability index of each signal over the window. Dashed: its limit, which is 0.1 or what chance
          explains at this number of rows, whichever is more. Dotted: the smallest drift that is detected with a
          probability of 90 % at this number of rows. The axis begins at 0.001. No line: fewer than 60 rows.
        |||, 'none', [
          g.query('{{signal}} {{version}}', 'max by (version, signal) (model_signal_window:signal_bin:psi{job=~"$job",version=~"$version",window="$window"})'),
          g.query('limit {{signal}} {{version}}', 'max by (version, signal) (model_signal_window:signal_bin:psi_limit{job=~"$job",version=~"$version",window="$window"})'),
          g.query('detectable {{signal}} {{version}}', 'max by (version, signal) (model_signal_window:signal_bin:psi_detectable{job=~"$job",version=~"$version",window="$window"})'),
        ], min=0.001)
        + g.logScale
        + g.decimals(3)
        + g.override(g.matching('/^limit /'), g.dashed)
        + g.override(g.matching('/^detectable /'), g.dotted)
        + g.pooled,
        g.timeseries('Rows in the window', |||
          Number of rows in the window. Below the dashed line, 60, there is no verdict.
        |||, 'short', [
          g.query('{{version}}', 'max by (version) (model_signal_window:signal_bin:rows{job=~"$job",version=~"$version",window="$window"})'),
        ])
        + g.fill(10)
        + g.limit(60)
        + g.pooled,
      ]),
      g.line(9, [
        g.timeseries('JS and KS distance', |||
          Distance between the rows in the window and the reference, from 0 to 1. Solid: Jensen-Shannon distance.
          Dashed: Kolmogorov-Smirnov distance, the largest difference between the cumulative shares at an edge of a
          bin. No alert uses them. Classes and categories have no order, so they have no KS distance. No line: fewer
          than 60 rows.
        |||, 'none', [
          g.query('JS {{signal}} {{version}}', 'max by (version, signal) (model_signal_window:signal_bin:js_distance{job=~"$job",version=~"$version",window="$window"})'),
          g.query('KS {{signal}} {{version}}', 'max by (version, signal) (model_signal_window:signal_bin:ks_distance{job=~"$job",version=~"$version",window="$window"})'),
        ])
        + g.max(1)
        + g.decimals(3)
        + g.override(g.matching('/^KS /'), g.dashed)
        + g.pooled,
        g.barGauge('Contribution per bin', |||
          The bins that contribute most to the PSI of the selected signals. The PSI of a signal is the sum over its
          bins. The bins below and above are outside the range of the training data. Empty: fewer than 60 rows.
        |||, 0.1, [
          g.instant('{{signal}} {{bin}} {{version}}', 'topk(12, max by (version, signal, bin) (model_signal_bin_window:signal_bin:contribution{job=~"$job",version=~"$version",signal=~"$signal",window="$window"}))'),
        ])
        + g.pooled,
      ]),
    ]),
    g.section('Quality', [
      g.line(9, [
        g.timeseries('Accuracy against estimate', |||
          Solid: accuracy by feedback, with the 95 % Wilson interval. Dashed: the accuracy that confidence estimates, on
          the same rows and on all rows with or without feedback; it is the mean confidence less the difference between
          confidence and accuracy on the reference. The estimate on all rows is grey and dotted where it is not valid,
          because more than 5 % of the rows are outside the range of the training data. A model without probabilities or
          without reference accuracy has no estimate.
          Dotted orange: what always answering the commonest class would have got right of the rows with feedback.
          During a rollout select one version.
        |||, 'percentunit', [
          g.query('realised {{version}}', 'max by (version) (model_window:feedback:accuracy{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('always the commonest class {{version}}', 'max by (version) (model_window:feedback:accuracy_baseline{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('estimated, rows with feedback {{version}}', 'max by (version) (model_window:feedback_confidence:estimate{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('estimated, all rows {{version}}', 'max by (version) (model_window:prediction_confidence:estimate{job=~"$job",version=~"$version",window="$feedback_window"} and model_window:signal_bin:estimate_valid{job=~"$job",version=~"$version",window="$feedback_window"} == 1)'),
          g.query('not valid: all rows {{version}}', 'max by (version) (model_window:prediction_confidence:estimate{job=~"$job",version=~"$version",window="$feedback_window"} and model_window:signal_bin:estimate_valid{job=~"$job",version=~"$version",window="$feedback_window"} == 0)'),
          g.query('reference {{version}}', 'max by (version) (model:model_reference_accuracy:max{job=~"$job",version=~"$version"})'),
          g.query('95 % interval, low', 'min by (version) (model_window:feedback:accuracy_low{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('95 % interval, high', 'max by (version) (model_window:feedback:accuracy_high{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ])
        + g.max(1)
        + classesOnly('No feedback about predicted classes.')
        + g.band('95 % interval, low', '95 % interval, high', 'blue')
        + g.override(g.matching('/^realised/'), [g.color('blue')])
        + g.override(g.matching('/^(estimated|reference)/'), g.dashed)
        + g.override(g.matching('/^always /'), [g.color('orange')] + g.dotted)
        + g.override(g.matching('/^not valid/'), [g.color('#808080'), { id: 'custom.lineStyle', value: { fill: 'dash', dash: [2, 6] } }])
        + g.pooled,
        g.timeseries('Gap and drop against their limits', |||
          Gap: realised accuracy below the estimate for the same rows (ModelAccuracyGap, concept drift). Drop:
          realised accuracy below the accuracy on the reference (ModelAccuracyDrop). Dashed: their limits, which are
          0.05 or what chance explains at this number of rows, whichever is more. No line: fewer than 60 rows with
          feedback, or a reference without true classes; and no gap without probabilities.
        |||, 'percentunit', [
          g.query('gap {{version}}', 'max by (version) (model_window:feedback:accuracy_gap{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('limit of the gap {{version}}', 'max by (version) (model_window:feedback:accuracy_gap_limit{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('drop {{version}}', 'max by (version) (model_window:feedback:accuracy_drop{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('limit of the drop {{version}}', 'max by (version) (model_window:feedback:accuracy_drop_limit{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ], min=null)
        + g.override(g.matching('/^limit /'), g.dashed)
        + classesOnly('Cannot tell: fewer than 60 rows with feedback about predicted classes.')
        + g.pooled,
      ]),
      g.line(5, [
        g.stateTimeline('Estimate valid', |||
          Whether the estimate of accuracy is valid. It is not where more than 5 % of the rows are outside the range
          of the training data or of categories that it does not have, because confidence has no meaning there;
          ModelAccuracyGap does not fire then. Cannot tell: no rows, or a model without an estimate.
        |||, [[-1, 'cannot tell', '#808080'], [0, 'not valid', 'orange'], [1, 'valid', 'green']], [
          g.query('{{version}}', 'max by (version) (model_window:signal_bin:estimate_valid{job=~"$job",version=~"$version",window="$feedback_window"}) or max by (version) (0 * model:signal_reference_rows:max{job=~"$job",version=~"$version"} - 1)'),
        ])
        + g.pooled,
        g.timeseries('Versions in rollout', |||
          Number of replicas that serve each version of the model. ModelVersionMix reports more than one version after
          an hour. A replica that does not answer is counted for another minute.
        |||, 'short', [
          g.query('{{version}}', 'sum by (version) (model:model_info:replicas{job=~"$job",version=~"$version"})'),
        ])
        + g.decimals(0)
        + g.fill(30)
        + g.stepwise
        + g.stacked('normal')
        + g.pooled,
      ]),
      g.line(9, [
        g.timeseries('Recall and precision per class', |||
          Solid: recall, the share of the rows of a class that the model predicted as this class. Dashed: precision,
          the share of the rows predicted as a class that are of this class. No line: fewer than 20 such rows.
        |||, 'percentunit', [
          g.query('recall {{class}} {{version}}', 'max by (version, class) (model_class_window:feedback:recall{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('precision {{class}} {{version}}', 'max by (version, class) (model_class_window:feedback:precision{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ])
        + g.max(1)
        + g.override(g.matching('/^precision /'), g.dashed)
        + classesOnly('Cannot tell: fewer than 20 rows of each class with feedback.')
        + g.pooled,
        g.timeseries('Drop of recall against its limit', |||
          How far the recall of a class lies below that on the reference (ModelRecallDrop). Dashed: its limit, which is
          0.05 or what chance explains at this number of rows, whichever is more. No line: fewer than 60 rows of the
          class with feedback.
        |||, 'percentunit', [
          g.query('drop {{class}} {{version}}', 'max by (version, class) (model_class_window:feedback:recall_drop{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('limit {{class}} {{version}}', 'max by (version, class) (model_class_window:feedback:recall_drop_limit{job=~"$job",version=~"$version",window="$feedback_window"} and model_class_window:feedback:recall_drop{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ], min=null)
        + g.override(g.matching('/^limit /'), g.dashed)
        + classesOnly('Cannot tell: fewer than 60 rows of each class with feedback.')
        + g.pooled,
      ]),
      g.line(9, [
        g.tablePanel('Feedback per class', |||
          Rows of each class in the window, as feedback says, and the share that the model predicted as this class;
          rows predicted as this class, and the share that are of it. Low and high are the limits of the 95 % Wilson
          interval. Cannot tell: fewer than 20 rows. Reference: recall on the rows of the reference.
        |||, 'percentunit', [
          g.table('rows', 'max by (class, version) (model_class_window:feedback:actual_rows{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('recall', 'max by (class, version) (model_class_window:feedback:recall{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('recall low', 'min by (class, version) (model_class_window:feedback:recall_low{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('recall high', 'max by (class, version) (model_class_window:feedback:recall_high{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('reference', 'max by (class, version) (model_class:model_reference_recall:max{job=~"$job",version=~"$version"})'),
          g.table('predicted', 'max by (class, version) (model_class_window:feedback:predicted_rows{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('precision', 'max by (class, version) (model_class_window:feedback:precision{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('precision low', 'min by (class, version) (model_class_window:feedback:precision_low{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.table('precision high', 'max by (class, version) (model_class_window:feedback:precision_high{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ], sort='rows')
        + g.decimals(1)
        + g.override(g.matching('/^(rows|predicted)$/'), [{ id: 'unit', value: 'none' }, { id: 'decimals', value: 0 }])
        + g.override(g.matching('/^(recall|precision)$/'), [{ id: 'noValue', value: 'cannot tell' }])
        + g.pooled,
      ]),
      g.line(8, [
        g.timeseries('Rows with feedback', |||
          Number of rows with feedback in the window. Below the dashed line, 60, accuracy is not compared with its
          limits, and the errors of predicted numbers have no figures.
        |||, 'short', [
          g.query('{{version}}', 'max by (version) (model_window:feedback:rows{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ])
        + g.fill(10)
        + g.limit(60)
        + g.pooled,
        g.timeseries('Label coverage', |||
          Rows with feedback per row predicted in the window. Feedback is seldom a random sample of all rows: consider
          how it is selected. Late labels about busier times raise the value above 100 %.
        |||, 'percentunit', [
          g.query('{{version}}', 'max by (version) (model_window:feedback:coverage{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ])
        + g.pooled,
        g.timeseries('Label lag', |||
          Time from a prediction to the feedback about it, for feedback that arrived in the window. Accuracy describes
          the model at that time. No line: no feedback.
        |||, 's', [
          g.query('p50 {{job}} {{endpoint}}', 'max by (cluster, job) (job_window:feedback_lag_seconds:p50{job=~"$job",window="$feedback_window"})'),
          g.query('p90 {{job}}', 'max by (cluster, job) (job_window:feedback_lag_seconds:p90{job=~"$job",window="$feedback_window"})'),
        ])
        + g.pooled,
        g.timeseries('Feedback refused', |||
          Rejected feedback, by reason. foreign_version: it reached a replica that serves another version than the one
          that predicted, which happens during a rollout.
        |||, 'reqps', [
          g.query('{{reason}}', 'sum by (reason) (rate(feedback_rejected_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))'),
        ])
        + g.softMax(1),
      ]),
    ]),
    g.section('Predicted numbers', [
      g.line(9, [
        g.timeseries('Predicted numbers', |||
          Share of the predictions in each bin of the reference over the window, for models that predict a number. Below
          and above are outside the range that was predicted for the reference. During a rollout select one version.
        |||, 'percentunit', [
          g.query('{{bin}}', predicted('below')),
          g.query('{{bin}}', predicted('q.+')),
          g.query('{{bin}}', predicted('above')),
        ])
        + g.max(1)
        + g.fill(60)
        + g.stacked('percent')
        + g.thinLines
        + g.override(g.named('below'), [g.color('dark-blue')])
        + g.override(g.named('above'), [g.color('dark-red')])
        + g.noData('No predicted numbers. Predicted classes are in the panel Prediction distribution.')
        + g.pooled,
        g.timeseries('Rise of the error against its limit', |||
          How far the mean absolute error is above that of the reference (ModelErrorRise), in the unit of the predicted
          number. Dashed: its limit, which is a tenth of the error on the reference or what chance explains at this number
          of rows, whichever is more. No line: fewer than 60 rows with feedback, or a reference without true numbers.
        |||, 'none', [
          g.query('rise {{version}}', 'max by (version) (model_window:feedback:error_rise{job=~"$job",version=~"$version",window="$feedback_window"})'),
          g.query('limit {{version}}', 'max by (version) (model_window:feedback:error_rise_limit{job=~"$job",version=~"$version",window="$feedback_window"})'),
        ], min=null)
        + g.override(g.matching('/^limit /'), g.dashed)
        + g.noData('Cannot tell: no model that predicts numbers, or fewer than 60 rows with feedback.')
        + g.pooled,
      ]),
      g.line(9, [
        errorFigure('Mean absolute error', |||
          Mean of the errors without their sign, by feedback, in the unit of the predicted number, with the 95 % interval.
          Dashed: on the reference. No line: fewer than 60 rows with feedback.
        |||, 'mean_absolute_error', 0),
        errorFigure('Root mean square error', |||
          Root of the mean square of the errors, by feedback, in the unit of the predicted number, with the 95 % interval.
          Large errors weigh more than in the mean absolute error. Dashed: on the reference. No line: fewer than 60 rows
          with feedback.
        |||, 'root_mean_square_error', 0),
        errorFigure('Bias', |||
          Mean of the errors, predicted less actual, by feedback, in the unit of the predicted number, with the 95 %
          interval. Above 0: predictions are too high. Dashed: on the reference. No line: fewer than 60 rows with feedback.
        |||, 'bias', null),
      ]),
    ]),
    g.section('Bins of each signal', [
      g.line(9, [
        g.barChart('Observed and expected: $signal', |||
          Share of the rows in each bin of this signal, beside the share in the reference. The bins below and above
          are outside the range of the training data. During a rollout select one version.
        |||, 'percentunit', 'bin', [
          g.table('observed', 'max by (bin) (model_signal_bin_window:signal_bin:ratio{job=~"$job",version=~"$version",signal=~"$signal",window="$window"})'),
          g.table('expected', positioned('max by (bin) (model_signal_bin_window:signal_bin_expected:ratio{job=~"$job",version=~"$version",signal=~"$signal",window="$window"})')),
        ], sort='position')
        + g.repeated('signal', 3, 8)
        + g.override(g.named('expected'), [g.color('#808080')])
        + g.override(g.named('observed'), [g.color('blue')])
        + g.pooled,
      ]),
    ]),
  ],
)
