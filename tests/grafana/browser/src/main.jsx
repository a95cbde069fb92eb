// Draws the dashboard `dashboard.json`. The query of the page's URL says how: prometheus (its URL), from, to and scrape
// (in seconds), theme, width, and var-NAME for variables.
// When all panels are drawn, `window.drawn` lists what became of each of them.

import { createRoot } from 'react-dom/client';

import { ThemeContext, createTheme, dateTime } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';

import { Dashboard } from './dashboard.jsx';
import { Prometheus } from './prometheus.js';
import { Variables } from './variables.js';

import './main.css';

const FRAMES_UNTIL_PAINTED = 5; // tables measure themselves first, and draw their rows after that

async function main() {
  const wanted = new URLSearchParams(location.search);
  const model = await (await fetch('dashboard.json')).json();
  const [from, to, scrape] = ['from', 'to', 'scrape'].map((name) => Number(wanted.get(name)));
  const range = { from: dateTime(from * 1000), to: dateTime(to * 1000) };
  const prometheus = new Prometheus(wanted.get('prometheus'), { ...range, raw: range }, scrape);
  const variables = await Variables.load(model.templating.list, wanted, prometheus);
  const theme = createTheme({ colors: { mode: wanted.get('theme') } });
  const drawn = new Promise((resolve) => {
    createRoot(document.getElementById('root')).render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <Dashboard {...{ model, prometheus, variables, theme }} width={Number(wanted.get('width'))} onDrawn={resolve} />
      </ThemeContext.Provider>
    );
  });
  const outcomes = await drawn;
  await painted();
  window.drawn = outcomes;
}

async function painted() {
  await document.fonts.ready;
  for (let frame = 0; frame < FRAMES_UNTIL_PAINTED; frame++) {
    await new Promise(requestAnimationFrame);
  }
}

main().catch((error) => {
  window.drawn = [{ title: 'the dashboard', error: String(error?.stack ?? error) }];
});
