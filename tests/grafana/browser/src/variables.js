// The variables at the top of a dashboard, and those that Grafana itself defines for queries and links.

import { get } from 'lodash';

const VARIABLE = /\$(?:([a-zA-Z_]\w*)|\{(\w+)(?:\.([^}:]+))?(?::(\w+))?\})/g;
const LABEL_VALUES = /^label_values\((.+), (\w+)\)$/;

export class Variables {
  constructor(values, texts, range) {
    this.values = values;
    this.texts = texts; // of each variable, what the top of the dashboard shows
    this.range = range;
  }

  static async load(models, wanted, prometheus) {
    const variables = new Variables({ datasource: 'prometheus' }, {}, prometheus.range);
    for (const model of models.filter((each) => each.type !== 'datasource')) {
      const value = wanted.get(`var-${model.name}`) ?? (await firstValue(model, variables, prometheus));
      variables.values[model.name] = value;
      variables.texts[model.label] = value === model.allValue ? 'All' : textOf(model, value);
    }
    return variables;
  }

  // Replaces variables as Grafana does; `scoped` are those of a query, or the field and row of a link.
  replace = (text, scoped = {}) =>
    text?.replace(VARIABLE, (whole, plain, name = plain, path, format) => {
      const value = this.#value(name, path, scoped);
      if (value === undefined) {
        return whole;
      }
      return format === 'queryparam' ? `var-${name}=${encodeURIComponent(value)}` : value;
    });

  #value(name, path, scoped) {
    if (name === '__url_time_range') {
      return `from=${this.range.from.valueOf()}&to=${this.range.to.valueOf()}`;
    }
    const context = scoped.__dataContext?.value;
    if (name === '__value') {
      return context.field.values[context.rowIndex];
    }
    return name === '__field' ? get(context.field, path) : (scoped[name] ?? this.values[name]);
  }
}

async function firstValue(model, variables, prometheus) {
  if (model.type !== 'query') {
    return model.current?.value ?? model.query;
  }
  if (model.includeAll) {
    return model.allValue;
  }
  const [, selector, label] = LABEL_VALUES.exec(model.query);
  return (await prometheus.labelValues(variables.replace(selector), label)).sort()[0];
}

function textOf(model, value) {
  return model.options?.find((each) => each.value === value)?.text ?? value;
}
