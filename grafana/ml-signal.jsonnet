// The dashboard of one signal of a model: a feature, its predictions, confidence or distance. `just dashboards` writes
// dashboards/ml-signal.json from it.

local m = import 'lib/models.libsonnet';
local g = import 'lib/panels.libsonnet';

local signal = 'signal="$signal"';
local ofSignal(metric, by=[]) = m.recorded(metric, signal, by);
local windows(metric) = ofSignal(metric, ['window']);

local inWindow(metric) = function(window) m.recorded(metric, '%s,%s' % [signal, window], ['window']);


local cannotTell = 'Cannot tell: fewer than 60 rows in the window.';

// Shares of bins, in the order of the bins, as stacked areas.
local areas = g.fill(60)
              + g.stacked('percent')
              + g.noLines
              + g.legendRight
              + g.override(g.named('below'), [g.color('dark-blue')])
              + g.override(g.named('above'), [g.color('dark-red')])
              + g.override(g.named('other'), [g.color('dark-purple')])
              + g.override(g.named('missing'), [g.color('#808080')]);

g.dashboard(
  'ml-signal',
  'Model signal',
  |||
    One signal of a model, that is, a feature, its predictions, their confidence, or the distance of rows from the training
    data: how its rows are distributed over the bins of the reference, and how the verdict on drift follows from that.
  |||,
  ['model', 'drift', m.tag],
  variables=[
    g.datasourceVariable,
    m.cluster,
    m.oneModel,
    m.jobOfModel,
    m.version,
    g.labelVariable('signal', 'Signal', 'label_values(signal_critical_chi2{%s}, signal)' % m.model, many=false),
    m.window,
    m.byVersion,
  ],
  annotations=m.annotations,
  links=m.links,
  sections=[
    g.section('Verdict on $signal', [
      g.line(7, [
        g.stateTimeline('Verdict in each window', |||
          Whether the rows of each window follow the distribution of the reference. Drifting: the PSI is above its limit. Cannot
          tell: the window has fewer than 60 rows.
        |||, [[-1, 'cannot tell', '#808080'], [0, 'steady', 'green'], [1, 'drifting', 'red']], m.eachWindow('{{window}} {{$by_version}}', function(window) '%s or %s - 1' % [
          inWindow('model_signal_window:signal_bin:drifting')(window),
          inWindow('0 * model_signal_window:signal_bin:rows')(window),
        ]))
        + g.noData('No model is scraped.'),
        g.stateTimeline('Alerts on this signal', |||
          Which alerts fire because of this signal, and when; and, if a scenario of the load generator runs, its phases.
        |||, [[0, 'quiet', 'green'], [1, 'firing', 'orange'], [3, 'phase', 'purple']], [
          g.query('{{alertname}} {{window}}', 'max by (alertname, window) (ALERTS{%s,signal="$signal",alertname=~"Model.+",alertstate="firing"}) or on () label_replace(vector(0), "alertname", "no alert", "", "")' % m.model),
          g.query('drill: {{phase}}', '3 * max by (phase) (loadgen_phase_active == 1)'),
        ]),
      ]),
      g.line(9, [
        g.timeseries('PSI in each window',
                     |||
                       Population stability index of the signal over each window. Grey and dashed: its limit, which is 0.1 or what chance
                       explains at this number of rows, whichever is more. Grey and dotted: the smallest drift that is detected with a
                       probability of 90 %. The axis begins at 0.001.
                     |||,
                     'none',
                     m.eachWindow('{{window}} {{$by_version}}', inWindow('model_signal_window:signal_bin:psi')) + [
                       g.query('limit {{window}} {{$by_version}}', windows('model_signal_window:signal_bin:psi_limit')),
                       g.query('detectable {{window}} {{$by_version}}', windows('model_signal_window:signal_bin:psi_detectable')),
                     ],
                     min=0.001)
        + g.logScale
        + g.decimals(3)
        + g.legendRight
        + g.override(g.matching('/^limit /'), [g.color('#808080'), g.unlisted] + g.dashed)
        + g.override(g.matching('/^detectable /'), [g.color('#606060'), g.unlisted] + g.dotted)
        + g.noData('Cannot tell: fewer than 60 rows in every window.'),
        g.timeseries('Rows in each window',
                     |||
                       Number of rows in each window; the scale is logarithmic. Below the dashed line, 60, there is no verdict.
                     |||,
                     'short',
                     m.eachWindow('{{window}} {{$by_version}}', inWindow('model_signal_window:signal_bin:rows')))
        + g.symlogScale
        + g.legendRight
        + g.limit(60)
        + g.noData('No model is scraped.'),
      ]),
    ]),
    g.section('Bins of $signal over $window', [
      g.line(10, [
        g.timeseries('Bins over time', |||
          Share of the rows in each bin over the window. The bins below and above are outside the range of the training data.
          During a rollout select one version.
        |||, 'percentunit', [
          g.query('{{bin}}', m.observed(signal, bins))
          for bins in m.binGroups
        ], min=null)
        + areas
        + g.noData('No rows in the window.'),
        g.barChart('Observed and expected', |||
          Share of the rows in each bin, beside the share in the reference, at the end of the time range.
        |||, 'percentunit', 'bin', [
          g.table('observed', m.observed(signal)),
          g.table('expected', m.positioned(m.expected(signal))),
        ], sort='position')
        + g.override(g.named('expected'), [g.color('#808080')])
        + g.override(g.named('observed'), [g.color('blue')])
        + g.noData('No rows in the window.'),
      ]),
      g.line(9, [
        g.timeseries('Contributions over time', |||
          What each bin contributes to the PSI over the window. The PSI is their sum, which is the height of the stack.
        |||, 'none', [
          g.query('{{bin}}', m.contribution(signal, bins))
          for bins in m.binGroups
        ])
        + areas
        + g.stacked('normal')
        + g.decimals(3)
        + g.softMax(0.1)
        + g.noData(cannotTell),
        g.barGauge('Contribution per bin', |||
          The ten bins that contribute most to the PSI at the end of the time range. A bar is full at 1.
        |||, 0.1, 1, [
          g.instant('{{bin}}', 'topk(10, %s)' % m.contribution(signal)),
        ])
        + g.noData(cannotTell),
      ]),
      g.line(8, [
        g.timeseries('JS and KS distance', |||
          Distance between the rows in the window and the reference, from 0 to 1. Jensen-Shannon distance; and, dashed, the
          Kolmogorov-Smirnov distance, the largest difference between the cumulative shares at an edge of a bin. No alert uses
          them. Classes and categories have no order, so they have no KS distance.
        |||, 'none', [
          g.query('JS {{$by_version}}', m.jsDistance(signal)),
          g.query('KS {{$by_version}}', m.ksDistance(signal)),
        ])
        + g.softMax(0.1)
        + g.decimals(3)
        + g.legendRight
        + g.override(g.matching('/^KS /'), g.dashed)
        + g.noData(cannotTell),
        g.tablePanel('Windows', |||
          The figures of each window at the end of the time range. Detectable: the smallest PSI that is detected with a
          probability of 90 %.
        |||, 'none', [
          g.table('rows', m.orderedWindows(windows('model_signal_window:signal_bin:rows'))),
          g.table('PSI', windows('model_signal_window:signal_bin:psi')),
          g.table('limit', windows('model_signal_window:signal_bin:psi_limit')),
          g.table('detectable', windows('model_signal_window:signal_bin:psi_detectable')),
          g.table('verdict', windows('model_signal_window:signal_bin:drifting')),
        ], sort='order', desc=false, labels=['window', 'version'])
        + g.decimals(3)
        + g.override(g.named('order'), [g.hidden])
        + g.override(g.named('rows'), [g.unit('none'), { id: 'decimals', value: 0 }])
        + g.override(g.named('verdict'), [g.states([[0, 'steady', 'green'], [1, 'drifting', 'red']]), g.colorBackground, g.centered])
        + g.emptyCells('cannot tell')
        + g.noData('No model is scraped.'),
      ]),
    ]),
  ],
)
