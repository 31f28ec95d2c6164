// The dashboards of this project, in terms of the types that Grafana publishes. generate.mjs makes a JSON schema of it.

import type * as C from '@grafana/schema';
import type * as B from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type * as G from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as States from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Series from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as D from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as Prometheus from '@grafana/grafana-foundation-sdk/prometheus';

type Query = Omit<Prometheus.Dataquery, '_implementsDataqueryVariant'>;

interface Link {
  title: string;
  url: string;
  targetBlank?: boolean;
}

interface Fields<Custom> {
  defaults: Omit<D.FieldConfig, 'custom' | 'links'> & { custom?: Custom; links?: Link[] };
  overrides: Array<{ matcher: D.MatcherConfig; properties: Array<{ id: string; value?: unknown }> }>;
}

type Panel<Type, Options, Custom> = Omit<D.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Type;
  options: Options;
  fieldConfig: Fields<Custom>;
  targets: Query[];
};

type AnyPanel =
  | Panel<'timeseries', Series.Options, C.GraphFieldConfig>
  | Panel<'state-timeline', States.Options, States.FieldConfig>
  | Panel<'barchart', B.Options, B.FieldConfig>
  | Panel<'bargauge', G.Options, {}>
  | Panel<'stat', Stat.Options, {}>
  | Panel<'table', Table.Options, Table.FieldConfig>;

type Row = Omit<D.RowPanel, 'panels'> & { panels: AnyPanel[] };

// The data source of Prometheus adds these to the published types.
type Annotation = Omit<D.AnnotationQuery, 'target'> & {
  expr?: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: boolean;
  target?: { refId: string; expr: string; interval: string; range: boolean; instant: boolean };
};
type Variable = D.VariableModel & { definition?: string };

export type Dashboard = Omit<D.Dashboard, 'panels' | 'annotations' | 'templating'> & {
  panels: Array<Row | AnyPanel>;
  annotations: { list: Annotation[] };
  templating: { list: Variable[] };
};

// What an override may set in `custom`, by the type of its panel.
export type SeriesField = C.GraphFieldConfig;
export type TableField = Partial<Table.FieldConfig>;
