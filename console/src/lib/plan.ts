// A plan's document as the screen shows it: a tree by dependency, a picture in layers, and progress by resource.

export type Action = 'create' | 'change' | 'replace' | 'destroy' | 'none';
export interface Why {
  attribute: string;
  before: unknown;
  after: unknown;
  replaces: boolean;
}
export interface Change {
  resource: string;
  action: Action;
  destroysData: boolean;
  dependsOn: string[];
  why: Why[];
}

/** Reads the document without trusting its shape; what is not understood is left out. */
export function changesOf(document: Record<string, unknown>): Change[] {
  const list = Array.isArray(document['changes']) ? document['changes'] : [];
  return list.flatMap((item: unknown) => {
    const c = item as Record<string, unknown>;
    if (typeof c?.['resource'] !== 'string' || typeof c['action'] !== 'string') return [];
    return [
      {
        resource: c['resource'],
        action: c['action'] as Action,
        destroysData: c['destroys_data'] === true,
        dependsOn: Array.isArray(c['depends_on']) ? c['depends_on'].filter((d): d is string => typeof d === 'string') : [],
        why: Array.isArray(c['why'])
          ? c['why'].map((w: Record<string, unknown>) => ({
              attribute: String(w['attribute'] ?? ''),
              before: w['before'] ?? null,
              after: w['after'] ?? null,
              replaces: w['replaces'] === true,
            }))
          : [],
      },
    ];
  });
}

/** Layer of each resource: one more than the deepest that it depends on. A cycle, which a plan never has, ends at 0. */
export function layersOf(changes: Change[]): Map<string, number> {
  const byName = new Map(changes.map((c) => [c.resource, c]));
  const layers = new Map<string, number>();
  const visiting = new Set<string>();
  function layer(name: string): number {
    const known = layers.get(name);
    if (known !== undefined) return known;
    const change = byName.get(name);
    if (!change || visiting.has(name)) return -1;
    visiting.add(name);
    const depth = 1 + Math.max(-1, ...change.dependsOn.map(layer));
    visiting.delete(name);
    layers.set(name, depth);
    return depth;
  }
  for (const change of changes) layer(change.resource);
  return layers;
}

export interface Node {
  change: Change;
  x: number;
  y: number;
}

/** Where each box goes, in units of boxes: layers from left to right, each sorted to keep lines short. */
export function placeNodes(changes: Change[]): { nodes: Map<string, Node>; columns: number; rows: number } {
  const layers = layersOf(changes);
  const columns: Change[][] = [];
  for (const change of changes) (columns[layers.get(change.resource) ?? 0] ??= []).push(change);
  const nodes = new Map<string, Node>();
  columns.forEach((column, x) => {
    const middle = (c: Change) => {
      const ys = c.dependsOn.flatMap((d) => nodes.get(d)?.y ?? []);
      return ys.length ? ys.reduce((a, b) => a + b, 0) / ys.length : 0;
    };
    column
      .map((change) => ({ change, at: middle(change) }))
      .sort((a, b) => a.at - b.at)
      .forEach(({ change }, y) => nodes.set(change.resource, { change, x, y }));
  });
  return { nodes, columns: columns.length, rows: Math.max(0, ...columns.map((c) => c?.length ?? 0)) };
}

/** "local_network.main" → what it is and its name. */
export function splitResource(resource: string): { type: string; name: string } {
  const dot = resource.indexOf('.');
  return dot < 0 ? { type: resource, name: '' } : { type: resource.slice(0, dot), name: resource.slice(dot + 1) };
}

export function showValue(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object' && 'known' in (value as object)) return String((value as { known: unknown }).known);
  if (typeof value === 'object' && 'secret' in (value as object)) return '••••';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export interface Step {
  resource: string;
  phase: 'begin' | 'done' | 'failed';
  detail: string;
  at: string;
}

/** The last that was heard of each resource. */
export function progressOf(steps: Step[]): Map<string, Step> {
  return new Map(steps.map((s) => [s.resource, s]));
}

// What the estimate and the graph of a plan say in whole sentences of their own (src/cloud/estimate.c, src/cloud/aws/graph.c).
const NOTES: [RegExp, string][] = [
  [/^It runs on this machine/, 'local'],
  [/^List prices for a month/, 'prices'],
  [/^Node groups count at their smallest/, 'nodes'],
  [/^The buckets' policies/, 'tls'],
];

/** A note in the reader's words; one that is not known is shown as it came. */
export function noteText(note: string, t: (key: never) => string): string {
  const known = NOTES.find(([pattern]) => pattern.test(note));
  return known ? t(`plan.note.${known[1]}` as never) : note;
}
