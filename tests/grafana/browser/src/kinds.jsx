// What draws each kind of panel. The parts are Grafana's own, except for the timelines, which it does not publish.

import { VizOrientation, getDisplayValueAlignmentFactors, getFieldDisplayValues } from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

import { StateTimeline, StatusHistory } from './timelines.jsx';

function fieldDisplayValues({ panel, context, frames, theme }) {
  return getFieldDisplayValues({
    data: frames,
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: context.variables.replace,
    theme,
    timeZone: 'utc',
  });
}

function Stat(props) {
  const { panel, frames, theme, width, height } = props;
  const { colorMode, graphMode, justifyMode, textMode, orientation } = panel.options;
  return (
    <VizRepeater
      {...{ width, height, orientation }}
      source={frames}
      autoGrid
      renderCounter={0}
      itemSpacing={3}
      getValues={() => fieldDisplayValues(props)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, count, orientation, ...size }) => (
        <BigValue
          {...{ colorMode, graphMode, justifyMode, textMode, alignmentFactors, count, theme, ...size }}
          value={value.display}
          parentOrientation={orientation}
        />
      )}
    />
  );
}
Stat.drawsNothing = true; // as the text for no value

function Bars(props) {
  const { panel, frames, theme, width, height } = props;
  const { displayMode, showUnfilled, valueMode, namePlacement, orientation, ...options } = panel.options;
  const { minVizHeight, minVizWidth, maxVizHeight } = options;
  return (
    <VizRepeater
      {...{ width, height, orientation, minVizHeight, minVizWidth, maxVizHeight }}
      source={frames}
      renderCounter={0}
      itemSpacing={10}
      getValues={() => fieldDisplayValues(props)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, ...size }) => (
        <BarGauge
          {...{ displayMode, showUnfilled, alignmentFactors, namePlacement, theme, ...size }}
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          valueDisplayMode={valueMode}
          orientation={VizOrientation.Horizontal}
        />
      )}
    />
  );
}

function Table({ panel, frames, width, height }) {
  if (frames.length !== 1) {
    throw new Error(`a table of ${frames.length} frames`);
  }
  const { sortBy, footer, showHeader, cellHeight } = panel.options;
  return (
    <TableNG
      {...{ width, height, sortBy, cellHeight }}
      data={frames[0]}
      noHeader={!showHeader}
      enablePagination={footer.enablePagination}
      fieldConfig={panel.fieldConfig}
      noValue={panel.fieldConfig.defaults.noValue}
      enableVirtualization={false}
      disableKeyboardEvents
    />
  );
}

function Lines({ panel, context, frames, width, height }) {
  return (
    <TimeSeries
      {...{ width, height }}
      frames={frames.map(withoutInfinity)}
      timeRange={context.prometheus.range}
      timeZone="utc"
      legend={panel.options.legend}
      options={panel.options}
    />
  );
}

// As Grafana does: nothing can be drawn at NaN, which is what a quantile of nothing is.
function withoutInfinity(frame) {
  const finite = (value) => (Number.isFinite(value) ? value : null);
  const fields = frame.fields.map((field) => ({ ...field, values: field.values.map(finite) }));
  return { ...frame, fields };
}

export const KINDS = {
  stat: Stat,
  bargauge: Bars,
  table: Table,
  timeseries: Lines,
  'state-timeline': StateTimeline,
  'status-history': StatusHistory,
};
