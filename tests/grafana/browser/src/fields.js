// The transformations of a panel, and its field configuration: units, mappings, thresholds, links, overrides.

import { lastValueFrom, of } from 'rxjs';

import {
  FieldConfigOptionsRegistry,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  dataLinksOverrideProcessor,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';

const CUSTOM = 'custom.';

const transformers = new Map(Object.values(standardTransformers).map((info) => [info.id, info])); // some have two names
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((info) => ({ id: info.id, name: info.name, transformation: async () => info }))
);

// Returns the frames as the panel draws them. Throws if it uses a transformation that does not exist.
export async function prepare(frames, panel, { theme, variables }) {
  const unknown = (panel.transformations ?? []).find(({ id }) => !standardTransformersRegistry.getIfExists(id));
  if (unknown) {
    throw new Error(`nothing transforms by ${unknown.id}`);
  }
  const interpolate = { interpolate: variables.replace };
  const transformed = await lastValueFrom(transformDataFrame(panel.transformations ?? [], frames, interpolate), { defaultValue: frames });
  const prepared = applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registryOf(panel.fieldConfig),
    replaceVariables: variables.replace,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(prepared);
  return prepared;
}

// Returns a registry of exactly the options that the panel sets, so that none is left out.
function registryOf({ defaults, overrides }) {
  const { custom = {}, ...standard } = defaults;
  const overridden = overrides.flatMap(({ properties }) => properties.map(({ id }) => id));
  const ids = new Set([...Object.keys(standard), ...Object.keys(custom).map((name) => CUSTOM + name), ...overridden]);
  return new FieldConfigOptionsRegistry(() => [...ids].map(optionOf));
}

function optionOf(id) {
  return {
    id,
    name: id,
    path: id.replace(CUSTOM, ''),
    isCustom: id.startsWith(CUSTOM),
    process: id === 'links' ? dataLinksOverrideProcessor : identityOverrideProcessor,
    shouldApply: () => true,
  };
}
