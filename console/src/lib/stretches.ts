// Stretches of a service's schedule as the screen holds them while they are edited.

/** A setting of ClickHouse for the hours of a stretch, as it is typed. */
export interface Setting {
  name: string;
  value: string;
}

export function settingsTyped(settings: Record<string, unknown> | undefined): Setting[] {
  return Object.entries(settings ?? {}).map(([name, value]) => ({ name, value: typeof value === 'string' ? value : JSON.stringify(value) }));
}

/** As the API takes them; undefined: none. */
export function settingsSent(typed: Setting[]): Record<string, string> | undefined {
  return typed.length ? Object.fromEntries(typed.map((s) => [s.name, s.value.trim()])) : undefined;
}

interface Replicas {
  autoscalingMode?: string;
  numReplicas?: number;
  minReplicas?: number;
  maxReplicas?: number;
}

/** A number of replicas is answered as a band from it to it; it is edited, and sent back, as a number. */
export function replicasTyped<E extends Replicas>(entry: E): E {
  const { numReplicas, minReplicas, maxReplicas, ...rest } = entry;
  if (rest.autoscalingMode === 'horizontal') return { ...rest, minReplicas, maxReplicas } as E;
  return { ...rest, numReplicas: numReplicas ?? (minReplicas === maxReplicas ? minReplicas : undefined) } as E;
}
