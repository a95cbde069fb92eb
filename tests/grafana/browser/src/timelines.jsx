// State timelines and status histories, with the texts and colours that Grafana's field configuration gives to values.

import { FieldType, dateTimeFormat, getFieldDisplayName } from '@grafana/data';

const AXIS_HEIGHT = 22;
const PAGER_HEIGHT = 28;
const TICK_WIDTH = 90;
const LONGEST_NAME = 0.5; // of the width
const CHARACTER_WIDTH = 7; // on average, of 12 pixels

export function StateTimeline(props) {
  return <Timeline {...props} boxes={merged} />;
}

export function StatusHistory(props) {
  return <Timeline {...props} boxes={cells} />;
}

function Timeline({ panel, context, frames, theme, width, height, boxes }) {
  const rows = frames.flatMap((frame) => rowsOf(frame, frames));
  const shown = rows.slice(0, panel.options.perPage ?? rows.length);
  const paged = shown.length < rows.length;
  const rowHeight = (height - AXIS_HEIGHT - (paged ? PAGER_HEIGHT : 0)) / shown.length;
  const nameWidth = Math.min(LONGEST_NAME * width, CHARACTER_WIDTH * Math.max(...shown.map(({ name }) => name.length)) + 8);
  const scale = scaleOf(context.prometheus.range, width - nameWidth);
  return (
    <div className="timeline" style={{ width, height, color: theme.colors.text.primary }}>
      {shown.map((row) => (
        <div className="lane" key={row.name} style={{ height: rowHeight }} data-height={rowHeight}>
          <span className="name" style={{ width: nameWidth }} title={row.name}>
            {row.name}
          </span>
          {boxes(row, context.prometheus.range).map((box) => (
            <Box key={box.start} {...{ box, scale, theme }} left={nameWidth} height={rowHeight * panel.options.rowHeight} />
          ))}
        </div>
      ))}
      <Axis scale={scale} left={nameWidth} width={width - nameWidth} range={context.prometheus.range} />
      {paged && <div className="pager">1 to {shown.length} of {rows.length}</div>}
    </div>
  );
}

function rowsOf(frame, frames) {
  const time = frame.fields.find(({ type }) => type === FieldType.time);
  const numbers = frame.fields.filter(({ type }) => type === FieldType.number);
  return numbers.map((field) => ({ name: getFieldDisplayName(field, frame, frames), time, field }));
}

// One box for each value, which lasts until the next one is due.
function cells({ time, field }) {
  const { interval } = time.config;
  return time.values.map((start, index) => ({ start, end: start + interval, ...field.display(field.values[index]) }));
}

// One box for equal values in a row.
function merged(row, range) {
  const boxes = [];
  for (const cell of cells(row)) {
    const last = boxes.at(-1);
    if (last && last.text === cell.text && cell.start <= last.end) {
      last.end = cell.end;
    } else {
      boxes.push(cell);
    }
  }
  return boxes.map((box) => ({ ...box, end: Math.min(box.end, range.to.valueOf()) }));
}

function scaleOf({ from, to }, width) {
  return (time) => ((Math.min(Math.max(time, from), to) - from) / (to - from)) * width;
}

function Box({ box, scale, theme, left, height }) {
  const x = scale(box.start);
  const style = { left: left + x, width: Math.max(scale(box.end) - x - 1, 1), height, background: box.color };
  return (
    <span className="box" style={{ ...style, color: theme.colors.getContrastText(box.color), lineHeight: `${height}px` }}>
      {box.text}
    </span>
  );
}

function Axis({ scale, left, width, range }) {
  const ticks = Math.max(1, Math.floor(width / TICK_WIDTH));
  const span = range.to - range.from;
  const format = span > 3600_000 ? 'HH:mm' : 'HH:mm:ss';
  const times = Array.from({ length: ticks }, (_, index) => range.from.valueOf() + (span * (index + 0.5)) / ticks);
  return (
    <div className="axis" style={{ height: AXIS_HEIGHT }}>
      {times.map((time) => (
        <span key={time} style={{ left: left + scale(time) }}>
          {dateTimeFormat(time, { format, timeZone: 'utc' })}
        </span>
      ))}
    </div>
  );
}
