// Runs the queries of panels, and returns data frames as Grafana's data source does.

import { FieldType, createDataFrame, rangeUtil } from '@grafana/data';

const LABEL = /\{\{\s*(\w+)\s*\}\}/g;

export class Prometheus {
  constructor(url, range, scrapeSeconds) {
    this.url = url;
    this.range = range;
    this.scrapeSeconds = scrapeSeconds;
  }

  async labelValues(selector, label) {
    return this.#get(`label/${label}/values`, { 'match[]': selector });
  }

  // Returns the frames of all queries of a panel that is `width` pixels wide.
  async frames(panel, width, variables) {
    const step = this.#step(panel.maxDataPoints ?? width);
    const scoped = {
      __range: `${Math.round((this.range.to - this.range.from) / 1000)}s`,
      __interval: `${step}s`,
      __rate_interval: `${Math.max(step + this.scrapeSeconds, 4 * this.scrapeSeconds)}s`,
    };
    const queries = panel.targets.map(async (target) => {
      const result = await this.#query(target, variables.replace(target.expr, scoped), step);
      const frames = target.format === 'table' ? tableOf(result, panel, target) : result.map((one) => seriesOf(one, target, step));
      return frames.map((frame) => ({ ...frame, refId: target.refId }));
    });
    return (await Promise.all(queries)).flat();
  }

  #step(points) {
    return rangeUtil.calculateInterval(this.range, points, `${this.scrapeSeconds}s`).intervalMs / 1000;
  }

  async #query(target, query, step) {
    const [start, end] = [this.range.from, this.range.to].map((time) => time.valueOf() / 1000);
    if (target.instant) {
      return (await this.#get('query', { query, time: end })).result;
    }
    const aligned = { start: Math.floor(start / step) * step, end: Math.floor(end / step) * step };
    return (await this.#get('query_range', { query, step, ...aligned })).result;
  }

  async #get(path, parameters) {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const answer = await response.json();
    if (answer.status !== 'success') {
      throw new Error(answer.error);
    }
    return answer.data;
  }
}

function seriesOf({ metric, values, value }, { legendFormat, instant }, step) {
  const samples = values ?? [value];
  const { __name__, ...labels } = metric;
  const name = legendFormat.replace(LABEL, (_, label) => metric[label] ?? '');
  return createDataFrame({
    fields: [
      { name: 'Time', type: FieldType.time, values: samples.map(([time]) => time * 1000), config: instant ? {} : { interval: step * 1000 } },
      { name: 'Value', type: FieldType.number, labels, values: samples.map(([, text]) => number(text)), config: name ? { displayNameFromDS: name } : {} },
    ],
  });
}

// One frame with a row for each series, and a column for each label.
function tableOf(result, panel, { refId }) {
  if (!result.length) {
    return [];
  }
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const value = panel.targets.length > 1 ? `Value #${refId}` : 'Value';
  const fields = [
    { name: 'Time', type: FieldType.time, values: result.map((one) => one.value[0] * 1000), config: {} },
    ...labels.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name] ?? ''), config: {} })),
    { name: value, type: FieldType.number, values: result.map((one) => number(one.value[1])), config: {} },
  ];
  return [createDataFrame({ fields })];
}

const INFINITE = { '+Inf': Infinity, '-Inf': -Infinity };

function number(text) {
  return INFINITE[text] ?? Number(text);
}
