// Builds Grafana panels, variables and annotations. What every dashboard of this project has in common is set here; what
// differs from panel to panel is an argument or a mixin (`panel + logScale`).

local datasource = { type: 'prometheus', uid: '$datasource' };
local fixed(color) = { id: 'color', value: { mode: 'fixed', fixedColor: color } };

// Joins the lines of a text block.
local prose(text) = std.strReplace(std.stripChars(text, '\n'), '\n', ' ');

// Lines are numbered A, B, C, … in the order of the list.
local numbered(queries) = std.mapWithIndex(
  function(at, query) { refId: std.char(std.codepoint('A') + at) } + query,
  queries
);

local panel(type, title, description, unit, queries) = {
  type: type,
  title: title,
  description: prose(description),
  datasource: datasource,
  pluginVersion: '13.2.2',
  targets: numbered(queries),
  fieldConfig: {
    defaults: {
      unit: unit,
      thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }] },
      mappings: [],
    },
    overrides: [],
  },
};

// Names the columns of joined tables by the legends of the queries.
local namedColumns(queries, without) = {
  id: 'organize',
  options: {
    excludeByName: { [name]: true for name in without },
    indexByName: {},
    renameByName: { ['Value #' + query.refId]: query.legendFormat for query in numbered(queries) },
  },
};
local sortedBy(column, desc) = { id: 'sortBy', options: { fields: {}, sort: [{ field: column, desc: desc }] } };

local defaults(settings) = { fieldConfig+: { defaults+: settings } };
local custom(settings) = defaults({ custom+: settings });

{
  // One query, drawn over the time range.
  query(legend, expr):: {
    datasource: datasource,
    editorMode: 'code',
    expr: expr,
    legendFormat: legend,
    instant: false,
    range: true,
  },

  // One query, evaluated at the end of the time range.
  instant(legend, expr):: self.query(legend, expr) + { instant: true, range: false },

  // The same as a table, for panels that join columns.
  table(legend, expr):: self.instant(legend, expr) + { format: 'table' },

  // Lines over time. Without a `min` the axis begins at the least value.
  timeseries(title, description, unit, queries, min=0):: panel('timeseries', title, description, unit, queries) + defaults({
    [if min != null then 'min']: min,
    color: { mode: 'palette-classic' },
    custom: {
      drawStyle: 'line',
      lineInterpolation: 'linear',
      lineWidth: 2,
      fillOpacity: 0,
      showPoints: 'never',
      spanNulls: false,
      stacking: { mode: 'none', group: 'A' },
      scaleDistribution: { type: 'linear' },
      thresholdsStyle: { mode: 'off' },
    },
  }) + {
    options: {
      legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // States over time, one bar per series. `states` lists [value, text, color].
  stateTimeline(title, description, states, queries):: panel('state-timeline', title, description, 'none', queries) + defaults({
    color: { mode: 'thresholds' },
    custom: { lineWidth: 0, fillOpacity: 80, spanNulls: false },
    thresholds: { mode: 'absolute', steps: [{ color: 'transparent', value: null }] },
    mappings: [{
      type: 'value',
      options: {
        [std.toString(states[at][0])]: { text: states[at][1], color: states[at][2], index: at }
        for at in std.range(0, std.length(states) - 1)
      },
    }],
  }) + {
    options: {
      mergeValues: true,
      showValue: 'auto',
      alignValue: 'center',
      rowHeight: 0.85,
      legend: { showLegend: true, displayMode: 'list', placement: 'bottom' },
      tooltip: { mode: 'single', sort: 'none' },
    },
  },

  // Horizontal bars of the latest values; orange from `limit` on.
  barGauge(title, description, limit, queries):: panel('bargauge', title, description, 'none', queries) + defaults({
    decimals: 3,
    min: 0,
    color: { mode: 'thresholds' },
    thresholds+: { steps+: [{ color: 'orange', value: limit }] },
  }) + {
    options: {
      displayMode: 'basic',
      orientation: 'horizontal',
      valueMode: 'color',
      showUnfilled: true,
      minVizWidth: 8,
      minVizHeight: 16,
      maxVizHeight: 300,
      namePlacement: 'left',
      sizing: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      legend: { showLegend: false, displayMode: 'list', placement: 'bottom', calcs: [] },
    },
  },

  // Vertical bars of the latest values, one group per value of label `x`, in the order of label `sort`, which one of the
  // queries has, and then of `x`. The queries are joined on `x`, and their legends name the columns.
  barChart(title, description, unit, x, queries, sort):: panel('barchart', title, description, unit, queries) + defaults({
    min: 0,
    color: { mode: 'palette-classic' },
    custom: { lineWidth: 1, fillOpacity: 80, axisPlacement: 'auto', scaleDistribution: { type: 'linear' } },
  }) + {
    options: {
      xField: x,
      orientation: 'auto',
      // Labels that would overlap are left out, in a chart of many categories; the tooltip has all of them, in full.
      xTickLabelRotation: -30,
      xTickLabelMaxLength: 16,
      xTickLabelSpacing: 24,
      showValue: 'never',
      stacking: 'none',
      groupWidth: 0.75,
      barWidth: 0.95,
      barRadius: 0,
      fullHighlight: false,
      legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] },
      tooltip: { mode: 'multi', sort: 'none' },
    },
    transformations: [
      { id: 'joinByField', options: { byField: x, mode: 'outer' } },
      // The second sort keeps the order of the first where two rows are equal.
      sortedBy(x, desc=false),
      sortedBy(sort, desc=false),
      namedColumns(queries, without=['Time', 'Time 1', 'Time 2', sort]),
    ],
  },

  // The latest values as a table, one row per set of labels, those with the greatest `sort` first. The queries are joined on
  // their labels, and their legends name the columns.
  tablePanel(title, description, unit, queries, sort):: panel('table', title, description, unit, queries) + defaults({
    custom: { align: 'auto', cellOptions: { type: 'auto' }, filterable: false, inspect: false, minWidth: 60 },
  }) + {
    options: { showHeader: true, cellHeight: 'sm', enablePagination: false },
    transformations: [
      { id: 'merge', options: {} },
      namedColumns(queries, without=['Time']),
      sortedBy(sort, desc=true),
    ],
  },

  // Mixins.
  pooled:: { description+: ' Replicas are pooled, so the instance filter does not apply.' },
  logScale:: custom({ scaleDistribution: { type: 'log', log: 10 } }),
  max(value):: defaults({ max: value }),
  // The axis reaches at least to this value. Without it, a line that is 0 throughout has an axis up to 100.
  softMax(value):: custom({ axisSoftMax: value }),
  decimals(count):: defaults({ decimals: count }),
  // What the panel shows when no query has a series.
  noData(text):: defaults({ noValue: text }),
  fill(percent):: custom({ fillOpacity: percent }),
  stepwise:: custom({ lineInterpolation: 'stepAfter' }),
  stacked(mode):: custom({ stacking+: { mode: mode } }),
  thinLines:: custom({ lineWidth: 1 }),
  // A dashed red line at this value.
  limit(value):: custom({ thresholdsStyle: { mode: 'dashed' } })
                 + defaults({ thresholds+: { steps+: [{ color: 'red', value: value }] } }),
  // How the series look whose names match.
  override(matcher, properties):: {
    fieldConfig+: { overrides+: [{ matcher: matcher, properties: properties }] },
  },
  named(name):: { id: 'byName', options: name },
  matching(regexp):: { id: 'byRegexp', options: regexp },
  color:: fixed,
  // Fills the band between the series `low` and `high` in the color, and draws neither.
  band(low, high, color):: self.override(self.named(high), [
    { id: 'custom.fillBelowTo', value: low },
    { id: 'custom.fillOpacity', value: 15 },
    { id: 'custom.lineWidth', value: 0 },
    fixed(color),
  ]) + self.override(self.named(low), [{ id: 'custom.lineWidth', value: 0 }, fixed(color)]),
  dashed:: [
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
    { id: 'custom.lineWidth', value: 1 },
    { id: 'custom.fillOpacity', value: 0 },
  ],
  dotted:: [
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [2, 6] } },
    { id: 'custom.lineWidth', value: 1 },
    { id: 'custom.fillOpacity', value: 0 },
  ],
  // One panel for each value of a variable, `perRow` of them beside each other.
  repeated(variable, perRow, width):: {
    repeat: variable,
    repeatDirection: 'h',
    maxPerRow: perRow,
    width:: width,
  },

  // Variables.
  datasourceVariable:: {
    type: 'datasource',
    name: 'datasource',
    label: 'Data source',
    description: '',
    query: 'prometheus',
    current: { selected: true, text: 'Prometheus', value: 'prometheus' },
    options: [],
    refresh: 1,
    regex: '',
    multi: false,
    includeAll: false,
    hide: 0,
    skipUrlSync: false,
  },
  // The values of a label; all of them are selected at first. `allValue` is what "All" stands for; without it, the list of
  // all values.
  labelVariable(name, label, query, allValue=null, description=''):: {
    type: 'query',
    name: name,
    label: label,
    description: description,
    datasource: datasource,
    definition: query,
    query: { qryType: 1, query: query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
    multi: true,
    includeAll: true,
    current: { selected: true, text: ['All'], value: ['$__all'] },
    options: [],
    refresh: 2,
    regex: '',
    sort: 1,
    hide: 0,
    skipUrlSync: false,
    [if allValue != null then 'allValue']: allValue,
  },
  // One of several values; the first is selected at first.
  choiceVariable(name, label, description, values):: {
    local option(value) = { selected: value == values[0], text: value, value: value },
    type: 'custom',
    name: name,
    label: label,
    description: description,
    query: std.join(',', values),
    current: option(values[0]),
    options: [option(value) for value in values],
    multi: false,
    includeAll: false,
    hide: 0,
    skipUrlSync: false,
  },

  // Annotations.
  alertAnnotations:: {
    builtIn: 1,
    datasource: { type: 'grafana', uid: '-- Grafana --' },
    enable: true,
    hide: true,
    iconColor: 'rgba(0, 211, 255, 1)',
    name: 'Annotations & Alerts',
    type: 'dashboard',
  },
  // Marks the times at which a query has a value.
  queryAnnotations(name, color, expr, step, title, text, tags):: {
    datasource: datasource,
    enable: true,
    hide: false,
    iconColor: color,
    name: name,
    expr: expr,
    step: step,
    titleFormat: title,
    textFormat: text,
    tagKeys: std.join(',', tags),
    useValueForTime: false,
    target: { refId: 'Anno', expr: expr, interval: step, range: true, instant: false },
  },

  // A heading, and lines of panels below it. Panels of a line share the width of 24 columns, unless they have a width of their
  // own; `height` is that of the line.
  section(title, lines):: { title: title, lines: lines },
  line(height, panels):: { height: height, panels: panels },

  // Places the sections below each other, and numbers the panels.
  layout(sections)::
    local place(y, line) = [
      local panel = line.panels[at];
      local width = if std.objectHasAll(panel, 'width') then panel.width else 24 / std.length(line.panels);
      panel { gridPos: { x: at * width, y: y, w: width, h: line.height } }
      for at in std.range(0, std.length(line.panels) - 1)
    ];
    local add(state, section) =
      local heading = {
        type: 'row',
        title: section.title,
        collapsed: false,
        panels: [],
        gridPos: { x: 0, y: state.y, w: 24, h: 1 },
      };
      std.foldl(
        function(state, line) { y: state.y + line.height, panels: state.panels + place(state.y, line) },
        section.lines,
        { y: state.y + 1, panels: state.panels + [heading] }
      );
    local placed = std.foldl(add, sections, { y: 0, panels: [] }).panels;
    std.mapWithIndex(function(at, panel) panel { id: at + 1 }, placed),

  // A dashboard that is changed in its source, not in Grafana.
  dashboard(uid, title, description, tags, variables, annotations, sections):: {
    uid: uid,
    title: title,
    description: prose(description),
    tags: tags,
    schemaVersion: 42,
    version: 1,
    editable: false,
    graphTooltip: 1,
    timezone: 'browser',
    weekStart: '',
    fiscalYearStartMonth: 0,
    liveNow: false,
    time: { from: 'now-15m', to: 'now' },
    timepicker: {},
    refresh: '5s',
    preload: false,
    links: [],
    annotations: { list: annotations },
    templating: { list: variables },
    panels: $.layout(sections),
  },
}
