// The dashboard of one model. `just dashboards` writes dashboards/ml-inference.json from it.

local m = import 'lib/models.libsonnet';
local g = import 'lib/panels.libsonnet';

local drift(metric, by=[]) = m.recorded(metric, 'signal=~"$signal",window="$window"', by);
local quality(metric, by=[], aggregate='max') = m.recorded(metric, 'window="$feedback_window"', by, aggregate);

// Opens the page of the signal whose line or bar was clicked.
local toSignal = g.linked('Bins of ${__field.labels.signal}', m.signalPage('%s&var-signal=${__field.labels.signal}' % m.selected(['cluster', 'model', 'job', 'version', 'window'])));

local noFeedback = 'No feedback sent yet, or fewer than 60 rows of it in the window.';

local noWatcher = 'No predictions through inference watch. A model behind inference serve has none.';

// A figure of the errors of predicted numbers with its 95 % interval and, dashed, its value on the reference.
local errorFigure(title, description, figure, min) =
  g.timeseries(title, description, 'none', [
    g.query('realised {{$by_version}}', quality('model_window:feedback:' + figure)),
    g.query('reference {{$by_version}}', m.recorded('model:model_reference_%s:max' % figure)),
    g.query('95 % interval, low', quality('model_window:feedback:%s_low' % figure, aggregate='min')),
    g.query('95 % interval, high', quality('model_window:feedback:%s_high' % figure)),
  ], min=min)
  + g.override(g.matching('/^realised/'), [g.color('blue')])
  + g.override(g.matching('/^reference/'), [g.color('#808080')] + g.dashed)
  + g.band('95 % interval, low', '95 % interval, high', 'blue')
  + g.noData('No model that predicts numbers.');

// For panels about classes, which are empty for models that predict numbers.
local classesOnly(reason) = g.noData(reason + ' Models that predict numbers have panels of their own below.');

g.dashboard(
  'ml-inference',
  'Model health',
  |||
    Health of a served model: throughput, latency, errors, predictions, whether its inputs still follow the
    distribution of its training data, and whether its accuracy is what its confidence indicates.
  |||,
  ['model', 'drift', m.tag],
  variables=[
    g.datasourceVariable,
    m.cluster,
    m.oneModel,
    m.jobOfModel,
    m.version,
    m.instanceOfModel('Applies to request throughput, CPU, memory and refused feedback. All other panels pool the replicas.'),
    g.labelVariable('signal', 'Signal', 'label_values(signal_critical_chi2{%s}, signal)' % m.model, allValue='.+', description='Applies to all panels about drift.'),
    m.window,
    m.feedbackWindow,
    m.byJob,
    m.byVersion,
    g.worstVariable('worst', 'signal', 8, 'model_signal_window:signal_bin:psi{%s,signal=~"$signal",window="$window"}' % m.model, 'model_signal:signal_bin_expected:bins{%s,signal=~"$signal"}' % m.model),
  ],
  annotations=m.annotations,
  links=m.links,
  sections=[
    g.section('Vital signs', [
      g.line(9, [
        g.timeseries('Request throughput', |||
          Requests per second by HTTP status, over all endpoints, stacked.
        |||, 'reqps', [
          g.query('{{status}}', 'sum by (status) (rate(inference_requests_total{%s,instance=~"$instance"}[$__rate_interval]))' % m.services),
        ])
        + g.fill(60)
        + g.stacked('normal')
        + g.noLines
        + g.override(g.matching('/^2/'), [g.color('green')])
        + g.override(g.matching('/^3/'), [g.color('blue')])
        + g.override(g.matching('/^4/'), [g.shades('orange')])
        + g.override(g.matching('/^5/'), [g.shades('red')])
        + g.noData('No instance is scraped.'),
        g.timeseries('Latency', |||
          Time to answer requests for predictions over the last minute: p95, mean, p99 and median. The dashed line is
          the objective for p95, 250 ms, which ModelLatencyHigh watches.
        |||, 's', [
          g.query('p95 {{endpoint}} {{$by_job}}', 'job_endpoint:inference_duration_seconds:p95_rate1m{%s,%s}' % [m.services, m.predictions]),
          g.query('mean {{endpoint}} {{$by_job}}', 'job_endpoint:inference_duration_seconds:mean_rate1m{%s,%s}' % [m.services, m.predictions]),
          g.query('p99 {{endpoint}} {{$by_job}}', 'job_endpoint:inference_duration_seconds:p99_rate1m{%s,%s}' % [m.services, m.predictions]),
          g.query('p50 {{endpoint}} {{$by_job}}', 'job_endpoint:inference_duration_seconds:p50_rate1m{%s,%s}' % [m.services, m.predictions]),
        ], min=null)
        + g.namesOnly
        + g.logScale
        + g.limit(0.25)
        + g.noData('No requests for predictions in this time range.'),
        g.timeseries('Error rate', |||
          Share of the requests for predictions over the last minute that were refused because of the client's error
          (4xx) or failed in the service (5xx). ModelBadInput watches the first, ModelErrorBudgetBurn the second.
        |||, 'percentunit', [
          g.query('4xx {{endpoint}} {{$by_job}}', 'job_endpoint:inference_requests_4xx:ratio_rate1m{%s,%s}' % [m.services, m.predictions]),
          g.query('5xx {{endpoint}} {{$by_job}}', 'job_endpoint:inference_requests_5xx:ratio_rate1m{%s,%s}' % [m.services, m.predictions]),
        ])
        + g.fill(10)
        + g.softMax(0.01)
        + g.override(g.matching('/^4xx/'), [g.shades('orange')])
        + g.override(g.matching('/^5xx/'), [g.shades('red')])
        + g.noData('No requests for predictions in this time range.'),
      ]),
      g.line(8, [
        g.timeseries('Prediction distribution', |||
          Share of each class among the predictions of the last minute. The shares change when the inputs drift.
        |||, 'percentunit', [
          g.query('{{class}} {{$by_version}}', 'model_class:prediction_output:ratio_rate1m{%s}' % m.model),
        ], min=null)
        + g.fill(60)
        + g.stacked('percent')
        + g.noLines
        + classesOnly('No predicted classes in this time range.'),
        g.timeseries('CPU usage', |||
          Share of one processor core that each instance uses: 200 % are two cores.
        |||, 'percentunit', [
          g.query('{{instance}}', 'rate(process_cpu_seconds_total{%s,instance=~"$instance"}[$__rate_interval]) and on (cluster, job, instance) model_loaded{%s,instance=~"$instance"}' % [m.services, m.services]),
        ])
        + g.fill(10)
        + g.softMax(0.1)
        + g.noData('No instance is scraped.'),
        g.timeseries('Memory usage', |||
          Resident memory of each instance.
        |||, 'bytes', [
          g.query('{{instance}}', 'process_resident_memory_bytes{%s,instance=~"$instance"} and on (cluster, job, instance) model_loaded{%s,instance=~"$instance"}' % [m.services, m.services]),
        ])
        + g.fill(10)
        + g.noData('No instance is scraped.'),
      ]),
    ]),
    g.section('Drift', [
      g.line(10, [
        g.stateTimeline('Verdict', |||
          Whether the rows in the window follow the distribution of the reference. Drifting: the PSI is above its
          limit. Cannot tell: the window has fewer than 60 rows. ModelInputDrift, ModelPredictionDrift and
          ModelConfidenceDrop watch the same series; ModelCannotTell reports a version that has too few rows in every
          window.
        |||, [[-1, 'cannot tell', '#808080'], [0, 'steady', 'green'], [1, 'drifting', 'red']], [
          g.query('{{signal}} {{$by_version}}', '%s or %s' % [
            drift('model_signal_window:signal_bin:drifting', ['signal']),
            m.recorded('0 * model_signal:signal_bin_expected:bins', 'signal=~"$signal"', ['signal']) + ' - 1',
          ]),
        ])
        + toSignal
        + g.noData('No model is scraped.'),
        g.stateTimeline('Alerts firing', |||
          Which alerts fire, and when; and, if a scenario of the load generator runs, its phases. Each alert has a section in
          the runbook.
        |||, [[0, 'quiet', 'green'], [1, 'warning', 'orange'], [2, 'critical', 'red'], [3, 'phase', 'purple']], [
          g.query('{{alertname}}', 'max by (alertname) (ALERTS{%s,model=~"$model|",alertname=~"Model.+",alertstate="firing",severity!="critical"} or 2 * ALERTS{%s,model=~"$model|",alertname=~"Model.+",alertstate="firing",severity="critical"}) or on () label_replace(vector(0), "alertname", "no alert", "", "")' % [m.services, m.services]),
          g.query('drill: {{phase}}', '3 * max by (phase) (loadgen_phase_active == 1)'),
        ]),
      ]),
      g.line(9, [
        g.timeseries('PSI against its limit', |||
          Population stability index of each signal over the window. Grey and dashed: its limit, which is 0.1 or what
          chance explains at this number of rows, whichever is more. Grey and dotted: the smallest drift that is detected
          with a probability of 90 % at this number of rows. The axis begins at 0.001. No line: fewer than 60 rows.
        |||, 'none', [
          g.query('{{signal}} {{$by_version}}', drift('model_signal_window:signal_bin:psi', ['signal'])),
          g.query('limit {{signal}} {{$by_version}}', drift('model_signal_window:signal_bin:psi_limit', ['signal'])),
          g.query('detectable {{signal}} {{$by_version}}', drift('model_signal_window:signal_bin:psi_detectable', ['signal'])),
        ], min=0.001)
        + g.logScale
        + toSignal
        + g.decimals(3)
        + g.legendRight
        + g.override(g.matching('/^limit /'), [g.color('#808080'), g.unlisted] + g.dashed)
        + g.override(g.matching('/^detectable /'), [g.color('#606060'), g.unlisted] + g.dotted)
        + g.noData('Cannot tell: fewer than 60 rows in the window.'),
        g.timeseries('Rows in the window', |||
          Number of rows in the window; the scale is logarithmic. Below the dashed line, 60, there is no verdict.
        |||, 'short', [
          g.query('rows {{$by_version}}', drift('model_signal_window:signal_bin:rows')),
        ])
        + g.symlogScale
        + g.namesOnly
        + g.fill(10)
        + g.limit(60)
        + g.noData('No model is scraped.'),
      ]),
      g.line(9, [
        g.barChart('Observed and expected: $worst', |||
          Share of the rows in each bin of this signal, beside the share in the reference, at the end of the time range. The
          bins below and above are outside the range of the training data. Of more than eight selected signals, the eight are
          shown whose PSI was greatest when the page was opened. During a rollout select one version.
        |||, 'percentunit', 'bin', [
          g.table('observed', m.observed('signal=~"$worst"')),
          g.table('expected', m.positioned(m.expected('signal=~"$worst"'))),
        ], sort='position')
        + g.repeated('worst', 4, 6)
        + g.override(g.named('expected'), [g.color('#808080')])
        + g.override(g.named('observed'), [g.color('blue')])
        + g.noData('No rows in the window.'),
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
          Dotted orange: what always answering the most frequent class would have got right of the rows with feedback.
          During a rollout select one version.
        |||, 'percentunit', [
          g.query('realised {{$by_version}}', quality('model_window:feedback:accuracy')),
          g.query('estimated, rows with feedback {{$by_version}}', quality('model_window:feedback_confidence:estimate')),
          g.query('estimated, all rows {{$by_version}}', '%s and %s == 1' % [quality('model_window:prediction_confidence:estimate'), quality('model_window:signal_bin:estimate_valid')]),
          g.query('not valid: all rows {{$by_version}}', '%s and %s == 0' % [quality('model_window:prediction_confidence:estimate'), quality('model_window:signal_bin:estimate_valid')]),
          g.query('reference {{$by_version}}', m.recorded('model:model_reference_accuracy:max')),
          g.query('always the most frequent class {{$by_version}}', quality('model_window:feedback:accuracy_baseline')),
          g.query('95 % interval, low', quality('model_window:feedback:accuracy_low', aggregate='min')),
          g.query('95 % interval, high', quality('model_window:feedback:accuracy_high')),
        ], min=null)
        + g.max(1)
        + g.namesOnly
        + classesOnly('No predictions of classes.')
        + g.band('95 % interval, low', '95 % interval, high', 'blue')
        + g.override(g.matching('/^95 % interval/'), [g.unlisted])
        + g.override(g.matching('/^realised/'), [g.color('blue')])
        + g.override(g.matching('/^(estimated|reference)/'), g.dashed)
        + g.override(g.matching('/^reference/'), [g.color('green')])
        + g.override(g.matching('/^always /'), [g.color('orange')] + g.dotted)
        + g.override(g.matching('/^not valid/'), [g.color('#808080'), { id: 'custom.lineStyle', value: { fill: 'dash', dash: [2, 6] } }]),
        g.timeseries('Gap and drop against their limits', |||
          Gap: realised accuracy below the estimate for the same rows (ModelAccuracyGap, concept drift). Drop:
          realised accuracy below the accuracy on the reference (ModelAccuracyDrop). Dashed: their limits, which are
          0.05 or what chance explains at this number of rows, whichever is more. No line: fewer than 60 rows with
          feedback, or a reference without true classes; and no gap without probabilities.
        |||, 'percentunit', [
          g.query('gap {{$by_version}}', quality('model_window:feedback:accuracy_gap')),
          g.query('limit of the gap {{$by_version}}', '%s and %s' % [quality('model_window:feedback:accuracy_gap_limit'), quality('model_window:feedback:accuracy_gap')]),
          g.query('drop {{$by_version}}', quality('model_window:feedback:accuracy_drop')),
          g.query('limit of the drop {{$by_version}}', '%s and %s' % [quality('model_window:feedback:accuracy_drop_limit'), quality('model_window:feedback:accuracy_drop')]),
        ], min=null)
        + g.namesOnly
        + g.override(g.matching('/gap/'), [g.color('purple')])
        + g.override(g.matching('/drop/'), [g.color('blue')])
        + g.override(g.matching('/^limit /'), g.dashed)
        + classesOnly(noFeedback),
      ]),
      g.line(5, [
        g.stateTimeline('Estimate valid', |||
          Whether the estimate of accuracy is valid. It is not where more than 5 % of the rows are outside the range
          of the training data or of categories that it does not have, because confidence has no meaning there;
          ModelAccuracyGap does not fire then. Cannot tell: no rows, or a model without an estimate.
        |||, [[-1, 'cannot tell', '#808080'], [0, 'not valid', 'orange'], [1, 'valid', 'green']], [
          g.query('estimate {{$by_version}}', '%s or %s - 1' % [quality('model_window:signal_bin:estimate_valid'), m.recorded('0 * model:signal_reference_rows:max')]),
        ])
        + g.noData('No model is scraped.'),
        g.timeseries('Versions in rollout', |||
          Number of replicas that serve each version of the model. ModelVersionMix reports more than one version after
          an hour. A replica that does not answer is counted for another minute.
        |||, 'short', [
          g.query('{{version}}', 'sum by (version) (model:model_info:replicas{%s})' % m.model),
        ])
        + g.decimals(0)
        + g.namesOnly
        + g.fill(30)
        + g.stepwise
        + g.stacked('normal')
        + g.noData('No model is scraped.'),
      ]),
      g.line(9, [
        g.timeseries('Recall and precision per class', |||
          Solid: recall, the share of the rows of a class that the model predicted as this class. Dashed: precision,
          the share of the rows predicted as a class that are of this class. No line: fewer than 20 such rows.
        |||, 'percentunit', [
          g.query('recall {{class}} {{$by_version}}', quality('model_class_window:feedback:recall', ['class'])),
          g.query('precision {{class}} {{$by_version}}', quality('model_class_window:feedback:precision', ['class'])),
        ], min=null)
        + g.max(1)
        + g.lowestFirst
        + g.override(g.matching('/^precision /'), g.dashed)
        + classesOnly('No feedback sent yet, or fewer than 20 rows of each class in the window.'),
        g.timeseries('Drop of recall against its limit', |||
          How far the recall of a class lies below that on the reference (ModelRecallDrop). Dashed: its limit, which is
          0.05 or what chance explains at this number of rows, whichever is more. No line: fewer than 60 rows of the
          class with feedback.
        |||, 'percentunit', [
          g.query('drop {{class}} {{$by_version}}', quality('model_class_window:feedback:recall_drop', ['class'])),
          g.query('limit {{class}} {{$by_version}}', '%s and %s' % [quality('model_class_window:feedback:recall_drop_limit', ['class']), quality('model_class_window:feedback:recall_drop', ['class'])]),
        ], min=null)
        + g.override(g.matching('/^limit /'), [g.color('#808080'), g.unlisted] + g.dashed)
        + classesOnly('No feedback sent yet, or fewer than 60 rows of each class in the window.'),
      ]),
      g.line(7, [
        g.tablePanel('Feedback per class', |||
          Rows of each class in the window, as feedback says, and the share that the model predicted as this class;
          rows predicted as this class, and the share that are of it. Low and high are the limits of the 95 % Wilson
          interval. Cannot tell: fewer than 20 rows. Reference: recall on the rows of the reference.
        |||, 'percentunit', [
          g.table('rows', quality('model_class_window:feedback:actual_rows', ['class'])),
          g.table('recall', quality('model_class_window:feedback:recall', ['class'])),
          g.table('recall low', quality('model_class_window:feedback:recall_low', ['class'], aggregate='min')),
          g.table('recall high', quality('model_class_window:feedback:recall_high', ['class'])),
          g.table('reference', m.recorded('model_class:model_reference_recall:max', by=['class'])),
          g.table('predicted', quality('model_class_window:feedback:predicted_rows', ['class'])),
          g.table('precision', quality('model_class_window:feedback:precision', ['class'])),
          g.table('precision low', quality('model_class_window:feedback:precision_low', ['class'], aggregate='min')),
          g.table('precision high', quality('model_class_window:feedback:precision_high', ['class'])),
        ], sort='rows', labels=['class', 'version'])
        + g.decimals(1)
        + g.override(g.matching('/^(rows|predicted)$/'), [{ id: 'unit', value: 'none' }, { id: 'decimals', value: 0 }])
        + g.emptyCells('cannot tell')
        + classesOnly('No feedback sent yet.'),
      ]),
      g.line(8, [
        g.timeseries('Rows with feedback', |||
          Number of rows with feedback in the window; the scale is logarithmic. Below the dashed line, 60, accuracy is not
          compared with its limits, and the errors of predicted numbers have no figures.
        |||, 'short', [
          g.query('rows {{$by_version}}', quality('model_window:feedback:rows')),
        ])
        + g.symlogScale
        + g.namesOnly
        + g.fill(10)
        + g.limit(60)
        + g.noData('No feedback sent yet.'),
        g.timeseries('Label coverage', |||
          Rows with feedback per row predicted in the window. Feedback is seldom a random sample of all rows: consider
          how it is selected. Late labels about busier times raise the value above 100 %.
        |||, 'percentunit', [
          g.query('coverage {{$by_version}}', quality('model_window:feedback:coverage')),
        ])
        + g.namesOnly
        + g.softMax(0.1)
        + g.noData('No predictions in the window.'),
        g.timeseries('Label lag', |||
          Time from a prediction to the feedback about it, for feedback that arrived in the window. Accuracy describes
          the model at that time.
        |||, 's', [
          g.query('p50 {{$by_job}}', 'max by (cluster, job) (job_window:feedback_lag_seconds:p50{%s,window="$feedback_window"})' % m.services),
          g.query('p90 {{$by_job}}', 'max by (cluster, job) (job_window:feedback_lag_seconds:p90{%s,window="$feedback_window"})' % m.services),
        ])
        + g.namesOnly
        + g.noData('No feedback sent yet.'),
        g.timeseries('Feedback refused', |||
          Rejected feedback per second, by reason. foreign_version: it reached a replica that serves another version than
          the one that predicted, which happens during a rollout.
        |||, 'cps', [
          g.query('{{reason}}', 'sum by (reason) (rate(feedback_rejected_total{%s,instance=~"$instance"}[$__rate_interval])) > 0' % m.services),
        ])
        + g.noData('No feedback refused in this time range.'),
      ]),
    ]),
    g.section('Predicted numbers', [
      g.line(9, [
        g.timeseries('Predicted numbers', |||
          Share of the predictions in each bin of the reference over the window, for models that predict a number. Below
          and above are outside the range that was predicted for the reference. During a rollout select one version.
        |||, 'percentunit', [
          g.query('{{bin}}', m.observedNumbers('bin="below"')),
          g.query('{{bin}}', m.observedNumbers('bin=~"q.+"')),
          g.query('{{bin}}', m.observedNumbers('bin="above"')),
        ], min=null)
        + g.fill(60)
        + g.stacked('percent')
        + g.noLines
        + g.override(g.named('below'), [g.color('dark-blue')])
        + g.override(g.named('above'), [g.color('dark-red')])
        + g.noData('No predicted numbers. Predicted classes are in the panel Prediction distribution.'),
        g.timeseries('Rise of the error against its limit', |||
          How far the mean absolute error is above that of the reference (ModelErrorRise), in the unit of the predicted
          number. Dashed: its limit, which is a tenth of the error on the reference or what chance explains at this number
          of rows, whichever is more. No line: fewer than 60 rows with feedback, or a reference without true numbers.
        |||, 'none', [
          g.query('rise {{$by_version}}', quality('model_window:feedback:error_rise')),
          g.query('limit {{$by_version}}', quality('model_window:feedback:error_rise_limit')),
        ], min=null)
        + g.override(g.matching('/^limit /'), [g.color('#808080')] + g.dashed)
        + g.noData('No model that predicts numbers, or fewer than 60 rows with feedback in the window.'),
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
    ], collapsed=true),
    g.section('Watcher', [
      g.line(9, [
        g.timeseries('Requests observed', |||
          Requests for predictions per second that passed through `inference watch`, stacked by outcome. Green: rows and predictions
          were counted. Blue: no prediction, because of the server, the client or an injected fault. Orange: not
          observed, by reason. Purple: requests for models without a profile, whatever model is selected.
        |||, 'reqps', [
          g.query('{{outcome}}', 'sum by (outcome) (rate(watch_requests_total{%s,instance=~"$instance"}[$__rate_interval]))' % m.model),
          g.query('no profile', 'sum(rate(watch_unknown_model_total{%s,instance=~"$instance"}[$__rate_interval]))' % m.services),
        ])
        + g.fill(60)
        + g.stacked('normal')
        + g.noLines
        + g.legendRight
        + g.override(g.matching('/./'), [g.shades('orange')])
        + g.override(g.matching('/^(refused|upstream_error|aborted|fault_injected)$/'), [g.shades('blue')])
        + g.override(g.named('observed'), [g.color('green')])
        + g.override(g.named('no profile'), [g.color('purple')])
        + g.noData(noWatcher),
        g.timeseries('Share not observed', |||
          Share of the predictions of the last ten minutes that passed without being observed, which are missing in the verdicts
          on drift. The dashed line is the limit of ModelNotObserved, a tenth.
        |||, 'percentunit', [
          g.query('not observed {{$by_version}}', m.recorded('model:watch_requests_not_observed:ratio_rate10m')),
        ])
        + g.namesOnly
        + g.fill(10)
        + g.softMax(0.15)
        + g.limit(0.1)
        + g.noData(noWatcher),
      ]),
    ], collapsed=true),
  ],
)
