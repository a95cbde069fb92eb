// The grid of a dashboard: its variables, its rows, and its panels, each with its frame, its data and its outcome.

import { useEffect, useRef, useState } from 'react';

import { ErrorBoundary, PanelChrome, useTheme2 } from '@grafana/ui';

import { prepare } from './fields.js';
import { KINDS } from './kinds.jsx';

const COLUMNS = 24;
const CELL_HEIGHT = 30;
const GAP = 8;
const BORDERS = 20; // of a panel, within which it draws

export function Dashboard({ model, prometheus, variables, theme, width, onDrawn }) {
  const outcomes = useRef(new Map());
  const panels = model.panels.filter(({ type }) => type !== 'row');
  const settle = (panel, outcome) => {
    outcomes.current.set(panel.id, { title: panel.title, type: panel.type, ...outcome });
    if (outcomes.current.size === panels.length) {
      onDrawn(panels.map(({ id }) => outcomes.current.get(id)));
    }
  };
  const context = { prometheus, variables, theme, settle };
  const bottom = Math.max(...model.panels.map(({ gridPos: { y, h } }) => y + h)) * (CELL_HEIGHT + GAP);
  return (
    <main style={{ width, background: theme.colors.background.canvas, padding: 2 * GAP }}>
      <Heading {...{ model, variables }} />
      <div style={{ position: 'relative', height: bottom }}>
        {model.panels.map((panel) => (
          <Placed key={panel.id} panel={panel} width={width - 4 * GAP} context={context} />
        ))}
      </div>
    </main>
  );
}

function Heading({ model, variables }) {
  const links = model.links.filter(({ type }) => type === 'link');
  return (
    <header>
      <h1>{model.title}</h1>
      {Object.entries(variables.texts).map(([label, text]) => (
        <span className="variable" key={label}>
          <b>{label}</b> {text}
        </span>
      ))}
      {links.map(({ title, url }) => (
        <a key={url} href={variables.replace(url)}>
          {title}
        </a>
      ))}
    </header>
  );
}

function Placed({ panel, width, context }) {
  const { x, y, w, h } = panel.gridPos;
  const column = (width + GAP) / COLUMNS;
  const size = { width: w * column - GAP, height: h * (CELL_HEIGHT + GAP) - GAP };
  const place = { position: 'absolute', left: x * column, top: y * (CELL_HEIGHT + GAP), ...size };
  return (
    <div style={place} data-panel={panel.type === 'row' ? null : panel.title}>
      {panel.type === 'row' ? <h2>{panel.title}</h2> : <Panel {...{ panel, context, size }} />}
    </div>
  );
}

function Panel({ panel, context, size }) {
  const [result, setResult] = useState();
  const { prometheus, variables } = context;
  useEffect(() => {
    const fetched = prometheus.frames(panel, Math.round(size.width - BORDERS), variables);
    fetched.then((frames) => prepare(frames, panel, context)).then(
      (frames) => setResult({ frames }),
      (error) => setResult({ error: String(error.message) })
    );
  }, []);
  return (
    <PanelChrome title={panel.title} {...size}>
      {(width, height) => result && <Content {...{ panel, context, width, height }} {...result} />}
    </PanelChrome>
  );
}

function Content({ panel, frames, error, context, width, height }) {
  const Kind = KINDS[panel.type];
  if (error || !Kind) {
    return <Failure panel={panel} context={context} error={error ?? `no part draws the kind ${panel.type}`} />;
  }
  return (
    <ErrorBoundary>
      {({ error: thrown }) =>
        thrown ? (
          <Failure panel={panel} context={context} error={String(thrown.stack)} />
        ) : (
          <Drawn {...{ Kind, panel, frames, context, width, height }} />
        )
      }
    </ErrorBoundary>
  );
}

function Failure({ panel, context, error }) {
  useEffect(() => context.settle(panel, { error }), []);
  return <pre className="failure">{error}</pre>;
}

function Drawn({ Kind, panel, frames, context, width, height }) {
  const series = frames.filter(({ length }) => length);
  useEffect(() => context.settle(panel, { series: series.length, empty: series.length === 0 }), []);
  if (!series.length && !Kind.drawsNothing) {
    return <NoValue panel={panel} />;
  }
  return <Kind {...{ panel, context, width, height }} frames={series} theme={useTheme2()} />;
}

function NoValue({ panel }) {
  return <p className="no-value">{panel.fieldConfig.defaults.noValue}</p>;
}
