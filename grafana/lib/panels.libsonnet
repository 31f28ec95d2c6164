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

// Names the columns of joined tables by the legends of the queries, after those of these labels. A query that is alone has a
// column without its letter.
local namedColumns(queries, labels, without) =
  local column(query) = if std.length(queries) == 1 then 'Value' else 'Value #' + query.refId;
  local columns = std.map(column, numbered(queries));
  {
    id: 'organize',
    options: {
      excludeByName: { [name]: true for name in without },
      indexByName: std.foldl(
        function(order, name) order { [name]: std.length(order) },
        labels + columns,
        {}
      ),
      renameByName: { [columns[at]]: queries[at].legendFormat for at in std.range(0, std.length(queries) - 1) },
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
      legend: {
        displayMode: 'table',
        placement: 'bottom',
        showLegend: true,
        calcs: ['lastNotNull', 'max'],
        sortBy: 'Max',
        sortDesc: true,
      },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // States over time, one bar per series. `states` lists [value, text, color].
  stateTimeline(title, description, states, queries):: panel('state-timeline', title, description, 'none', queries) + defaults({
    color: { mode: 'thresholds' },
    custom: { lineWidth: 0, fillOpacity: 80 },
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
      // With more rows than this, the panel has pages.
      perPage: 20,
      showValue: 'auto',
      alignValue: 'center',
      rowHeight: 0.85,
      legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] },
      tooltip: { mode: 'single', sort: 'none' },
    },
  },

  // Horizontal bars of the latest values, full at `max`; orange from `limit` on.
  barGauge(title, description, limit, max, queries):: panel('bargauge', title, description, 'none', queries) + defaults({
    decimals: 3,
    min: 0,
    max: max,
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
      text: { titleSize: 12, valueSize: 14 },
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
      namedColumns(queries, [x], without=['Time', 'Time 1', 'Time 2', sort]),
    ],
  },

  // The latest values as a table, one row per set of labels, sorted by one column. The queries are joined on their labels, and
  // their legends name the columns, which follow those of `labels`.
  tablePanel(title, description, unit, queries, sort, labels=[], desc=true)::
    panel('table', title, description, unit, queries) + defaults({
      custom: { align: 'auto', cellOptions: { type: 'auto' }, filterable: false, inspect: false, minWidth: 60 },
    }) + {
      options: { frameIndex: 0, showHeader: true, cellHeight: 'sm', enablePagination: false },
      transformations: [
        { id: 'merge', options: {} },
        namedColumns(queries, labels, without=['Time']),
        sortedBy(sort, desc),
      ],
    },

  // The latest values as large numbers beside each other.
  stat(title, description, unit, queries):: panel('stat', title, description, unit, queries) + defaults({
    color: { mode: 'fixed', fixedColor: 'text' },
  }) + {
    options: {
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      percentChangeColorMode: 'standard',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      showPercentChange: false,
      textMode: 'value_and_name',
      // Centered, because otherwise a name would be as near to the value of the one before it.
      wideLayout: false,
    },
  },

  // Mixins.
  logScale:: custom({ scaleDistribution: { type: 'log', log: 10 } }),
  // Logarithmic above 1 and linear below, so that 0 is drawn.
  symlogScale:: custom({ scaleDistribution: { type: 'symlog', log: 10, linearThreshold: 1 } }),
  // The legend as one line of names, in the order of the queries.
  namesOnly:: { options+: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] } } },
  // The legend beside the lines, where many series have to be listed.
  legendRight:: { options+: { legend+: { placement: 'right' } } },
  // The legend by least value, for figures that are better the higher they are.
  lowestFirst:: { options+: { legend+: { calcs: ['lastNotNull', 'min'], sortBy: 'Min', sortDesc: false } } },
  // Series of the same kind in shades of one color.
  shades(color):: { id: 'color', value: { mode: 'shades', fixedColor: color } },
  // Draws the series, and leaves them out of the legend.
  unlisted:: { id: 'custom.hideFrom', value: { legend: true, tooltip: false, viz: false } },
  max(value):: defaults({ max: value }),
  // The axis reaches at least to this value. Without it, a line that is 0 throughout has an axis up to 100.
  softMax(value):: custom({ axisSoftMax: value }),
  decimals(count):: defaults({ decimals: count }),
  // What the panel shows when no query has a series.
  noData(text):: defaults({ noValue: text }),
  fill(percent):: custom({ fillOpacity: percent }),
  stepwise:: custom({ lineInterpolation: 'stepAfter' }),
  stacked(mode):: custom({ stacking+: { mode: mode } }),
  // For stacked areas: the line of a series of zeros would color the edge of the one below it.
  noLines:: custom({ lineWidth: 0 }),
  // A dashed red line at this value.
  limit(value):: custom({ thresholdsStyle: { mode: 'dashed' } })
                 + defaults({ thresholds+: { steps+: [{ color: 'red', value: value }] } }),
  // What cells without a value show; otherwise it would be the text for a table without rows.
  emptyCells(text):: self.override(self.matching('/.*/'), [{ id: 'noValue', value: text }]),
  // Pages of rows instead of a long table.
  pages:: { options+: { enablePagination: true } },
  // Opens this address when a value is clicked.
  linked(title, url):: defaults({ links: [{ title: title, url: url, targetBlank: false }] }),
  // How a column or series looks: values by name and color, a unit, an address.
  states(list):: { id: 'mappings', value: [{
    type: 'value',
    options: {
      [std.toString(list[at][0])]: { text: list[at][1], color: list[at][2], index: at }
      for at in std.range(0, std.length(list) - 1)
    },
  }] },
  words(list):: { id: 'mappings', value: [{
    type: 'value',
    options: {
      [list[at][0]]: { color: list[at][1], index: at }
      for at in std.range(0, std.length(list) - 1)
    },
  }] },
  unit(unit):: { id: 'unit', value: unit },
  address(title, url):: { id: 'links', value: [{ title: title, url: url, targetBlank: false }] },
  colorBackground:: { id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
  centered:: { id: 'custom.align', value: 'center' },
  columnWidth(pixels):: { id: 'custom.width', value: pixels },
  filterable:: { id: 'custom.filterable', value: true },
  hidden:: { id: 'custom.hideFrom', value: { legend: true, tooltip: true, viz: true } },
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
  // The values of a label. Of `many`, all are selected at first, and `allValue` is what "All" stands for; otherwise the first.
  labelVariable(name, label, query, allValue=null, many=true, description=''):: {
    type: 'query',
    name: name,
    label: label,
    description: description,
    datasource: datasource,
    definition: query,
    query: { qryType: 1, query: query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
    multi: many,
    includeAll: many,
    current: if many then { selected: true, text: ['All'], value: ['$__all'] } else { selected: false, text: '', value: '' },
    options: [],
    refresh: 2,
    regex: '',
    sort: 1,
    hide: 0,
    skipUrlSync: false,
    [if allValue != null then 'allValue']: allValue,
  },
  // A hidden variable for grouping and legends: `label` where `series` has more than one value of it in the time range, and
  // otherwise a label that does not exist. `max by (signal, $name)` and `{{signal}} {{$name}}` then mention it if need be.
  groupingVariable(name, label, series):: {
    local several = 'count(count by (%s) (last_over_time(%s[$__range]))) > 1' % [label, series],
    local choice(value, of) = 'label_replace(%s, "by", "%s", "", "")' % [of, value],
    local query = 'query_result(%s or on () %s)' % [choice(label, several), choice('none', 'vector(1)')],
    type: 'query',
    name: name,
    label: '',
    description: '',
    datasource: datasource,
    definition: query,
    query: { qryType: 3, query: query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
    regex: '/by="([^"]+)"/',
    multi: false,
    includeAll: false,
    current: { selected: true, text: 'none', value: 'none' },
    options: [],
    refresh: 2,
    sort: 0,
    hide: 2,
    skipUrlSync: true,
  },
  // A hidden variable for repeated panels: the values of `label` whose `series` is greatest, `count` at most, or any where there
  // is none. It changes only when the page is opened, so that panels keep their places.
  worstVariable(name, label, count, series, any):: {
    local query = 'query_result(topk(%d, max by (%s) (max_over_time(%s[$__range])) or max by (%s) (0 * %s)))' % [count, label, series, label, any],
    type: 'query',
    name: name,
    label: '',
    description: '',
    datasource: datasource,
    definition: query,
    query: { qryType: 3, query: query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
    regex: '/%s="([^"]+)"/' % label,
    multi: true,
    includeAll: true,
    current: { selected: true, text: ['All'], value: ['$__all'] },
    options: [],
    refresh: 1,
    sort: 1,
    hide: 2,
    skipUrlSync: true,
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

  // Links at the top of a dashboard: to the dashboards with this tag, and elsewhere.
  dashboardLinks(tag):: {
    type: 'dashboards',
    title: '',
    tags: [tag],
    icon: 'external link',
    tooltip: '',
    url: '',
    asDropdown: false,
    targetBlank: false,
    includeVars: true,
    keepTime: true,
  },
  link(title, url, tooltip):: {
    type: 'link',
    title: title,
    url: url,
    tooltip: tooltip,
    icon: 'external link',
    tags: [],
    asDropdown: false,
    targetBlank: true,
    includeVars: false,
    keepTime: false,
  },

  // A heading, and lines of panels below it. Panels of a line share the width of 24 columns, unless they have a width of their
  // own; `height` is that of the line.
  section(title, lines, collapsed=false):: { title: title, lines: lines, collapsed: collapsed },
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
      local lines = std.foldl(
        function(lines, line) { y: lines.y + line.height, panels: lines.panels + place(lines.y, line) },
        section.lines,
        { y: state.y + 1, panels: [] }
      );
      local heading = {
        type: 'row',
        title: section.title,
        collapsed: section.collapsed,
        // Grafana expects the panels of a collapsed section in its heading.
        panels: if section.collapsed then lines.panels else [],
        gridPos: { x: 0, y: state.y, w: 24, h: 1 },
      };
      {
        y: if section.collapsed then state.y + 1 else lines.y,
        panels: state.panels + [heading] + if section.collapsed then [] else lines.panels,
      };
    local number(state, panel) =
      local inner = std.mapWithIndex(function(at, panel) panel { id: state.id + at + 1 }, std.get(panel, 'panels', []));
      {
        id: state.id + 1 + std.length(inner),
        panels: state.panels + [panel { id: state.id } + if inner == [] then {} else { panels: inner }],
      };
    local placed = std.foldl(add, sections, { y: 0, panels: [] }).panels;
    std.foldl(number, placed, { id: 1, panels: [] }).panels,

  // A dashboard that is changed in its source, not in Grafana.
  dashboard(uid, title, description, tags, variables, annotations, links, sections, refresh='5s'):: {
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
    // A drill takes about five minutes, a sixth of this.
    time: { from: 'now-30m', to: 'now' },
    timepicker: {
      quick_ranges: [
        { display: 'Last 15 minutes: a drill', from: 'now-15m', to: 'now' },
        { display: 'Last 30 minutes', from: 'now-30m', to: 'now' },
        { display: 'Last hour', from: 'now-1h', to: 'now' },
        { display: 'Last 6 hours', from: 'now-6h', to: 'now' },
        { display: 'Last day', from: 'now-1d', to: 'now' },
        { display: 'Last 7 days', from: 'now-7d', to: 'now' },
      ],
    },
    refresh: refresh,
    preload: false,
    links: links,
    annotations: { list: annotations },
    templating: { list: variables },
    panels: $.layout(sections),
  },
}
