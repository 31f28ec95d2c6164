// PromQL for the bins of signals over the drift window: shares, contributions to the PSI, and distances. The rules record one
// series per bin, the rows of a minute, so that a model of many features costs little; a panel computes the rest, for the
// signals that it shows. The formulas are those of monitoring/rules/drift.yml.
//
// `of` selects series by their labels, such as 'job=~"$job",signal=~"$signal"', and `bins` some of their bins. The window is that
// of the variable `window`.

local signal = 'cluster, job, model, version, signal';
local model = 'cluster, job, model, version';

local selected(of, bins) = if bins == '' then of else '%s,%s' % [of, bins];

local rows(of, window='window="$window"') = 'model_signal_window:signal_bin:rows{%s,%s}' % [of, window];

// Rows of the window by bin. A minute changes once a minute, so only the short window reads the counters. Matching `window` twice
// selects nothing unless the window is the short one, or a long one.
local counted(of, bins) =
  |||
    (
      sum by (%(signal)s, bin) (increase(signal_bin_total{%(bins)s}[30s])) * 25 / 30
      and on (%(signal)s)
      %(short)s
      or
      sum_over_time(model_signal_bin:signal_bin:increase1m{%(bins)s}[$window])
      and on (%(signal)s)
      %(long)s
    )
  ||| % {
    signal: signal,
    bins: selected(of, bins),
    short: rows(of, 'window="$window",window="25s"'),
    long: rows(of, 'window="$window",window!="25s"'),
  };

// M, N and B. The bins are counted at the time of the query, and the recorded rows are older by up to an evaluation: where traffic
// rises or falls, shares of the recorded rows would not add up to 1.
local rowsCounted(of) = '(sum by (%s) (%s))' % [signal, counted(of, '')];
local referenceRows = 'model:signal_reference_rows:max';
local binCount = 'model_signal:signal_bin_expected:bins';

// The factors of a signal. `least` leaves out windows with fewer rows.
// n / M
local weight(of, least) = 'clamp_max(1 / (%s > %s) * on (%s) group_left () %s, 1)' % [rowsCounted(of), least, model, referenceRows];
// n / N
local scale(of) = 'clamp_max(%s / on (%s) group_left () %s, 1)' % [rowsCounted(of), model, referenceRows];
// n (N + B/2) / N
local expectedRows(of) = '(%s * on (%s) group_left () (0.5 * %s + on (%s) group_left () %s))' % [scale(of), signal, binCount, model, referenceRows];
// 1/2 - n / (2 N)
local rest(of) = '(0.5 - 0.5 * %s)' % scale(of);
// n + B/2
local total(of) = '(%s * on (%s) group_left () %s + on (%s) group_left () 0.5 * %s)' % [scale(of), model, referenceRows, signal, binCount];

local published(of, bins) = 'max by (%s, bin) (signal_bin_expected_ratio{%s})' % [signal, selected(of, bins)];

// a and b: rows observed and expected, smoothed.
local a(of, bins, least) = '(%s * on (%s) group_left () (%s) + 0.5)' % [counted(of, bins), signal, weight(of, least)];
local b(of, bins) = '(%s * on (%s) group_left () %s + on (%s) group_left () %s)' % [published(of, bins), signal, expectedRows(of), signal, rest(of)];

// Fewer than 60 rows give no verdict, and no distance.
local enough = '59.5';

local oneLine(text) = std.join(' ', [line for line in std.split(std.strReplace(text, '\n', ' '), ' ') if line != '']);

{
  // Share of the rows in each bin.
  observed(of, bins='')::
    oneLine('%s / on (%s) group_left () %s' % [a(of, bins, '0'), signal, total(of)]),

  // Share of the reference in each bin, smoothed alike.
  expected(of, bins='')::
    oneLine('(%s and on (%s) %s) / on (%s) group_left () %s' % [b(of, bins), signal, rows(of), signal, total(of)]),

  // What each bin adds to the PSI of its signal.
  contribution(of, bins='')::
    oneLine('(%(a)s - %(b)s) * ln(%(a)s / %(b)s) / on (%(signal)s) group_left () %(total)s' % {
      a: a(of, bins, enough),
      b: b(of, bins),
      signal: signal,
      total: total(of),
    }),

  // Jensen-Shannon distance in base 2 (J. Lin, "Divergence measures based on the Shannon entropy", 1991; its root is a metric:
  // D. Endres, J. Schindelin, 2003): sqrt(1/2 * sum p * log2(p / m) + 1/2 * sum q * log2(q / m)) with m = (p + q) / 2. Clamped,
  // because rounding may leave less than nothing.
  jsDistance(of)::
    oneLine('sqrt(clamp_min(0.5 * sum by (%(signal)s) (%(b)s * log2(2 * %(b)s / (%(a)s + %(b)s)) + %(a)s * log2(2 * %(a)s / (%(a)s + %(b)s))) / on (%(signal)s) group_left () %(total)s, 0))' % {
      a: a(of, '', enough),
      b: b(of, ''),
      signal: signal,
      total: total(of),
    }),

  // Kolmogorov-Smirnov distance over bins: the largest difference between the two distribution functions at any cut between
  // neighbouring bins, in the order below, q1 to q10 (padded to q01 when there are ten), above, missing. One sum for each cut,
  // because PromQL has no running sum. A signal with fewer bins, or with present and missing only, repeats cuts, which does no
  // harm to a maximum. Classes and categories have no order, so they have no such distance; predicted numbers have.
  ksDistance(of)::
    local cuts = ['bin="below"'] + ['bin=~"below|q0?[1-%d] .*"' % last for last in std.range(1, 9)] + ['bin!~"above|missing"', 'bin!="missing"'];
    // Sums over the bins before each cut, told apart by a label, so that the factors of the signal are computed once.
    local beforeEachCut(aggregate, expr) =
      '(%s)' % std.join(' or ', std.mapWithIndex(
        function(number, bins) 'label_replace(%s by (%s) (%s), "cut", "%d", "", "")' % [aggregate, signal, expr(bins), number],
        cuts
      ));
    // a - b summed over the bins: n/M of the rows, less what is expected of so many bins.
    local differences = '%(rows)s * on (%(signal)s) group_left () (%(weight)s) - on (%(signal)s, cut) %(shares)s * on (%(signal)s) group_left () %(expected)s + on (%(signal)s, cut) %(count)s * on (%(signal)s) group_left () (0.5 * %(scale)s)' % {
      signal: signal,
      rows: beforeEachCut('sum', function(bins) counted(of, bins)),
      weight: weight(of, enough),
      shares: beforeEachCut('sum', function(bins) published(of, bins)),
      expected: expectedRows(of),
      count: beforeEachCut('count', function(bins) published(of, bins)),
      scale: scale(of),
    };
    oneLine('max by (%(signal)s) (abs(%(differences)s)) / on (%(signal)s) group_left () %(total)s unless on (%(signal)s) model_signal:signal_bin_expected:categorical and on (%(signal)s) (%(features)s or %(prediction)s and on (%(model)s) model:feedback_absolute_error:predicts_number)' % {
      signal: signal,
      model: model,
      differences: differences,
      total: total(of),
      features: rows(selected(of, 'signal!="prediction"')),
      prediction: rows(selected(of, 'signal="prediction"')),
    }),
}
