// What was changed in a form, as the API takes it.

export interface Entry {
  source: string;
  description?: string;
}

export interface Tag {
  key: string;
  value?: string;
}

/** What to add and to take away so that `before` becomes `after`. */
export function accessPatch(before: Entry[], after: Entry[]) {
  const same = (a: Entry, b: Entry) => a.source === b.source && (a.description ?? '') === (b.description ?? '');
  return {
    add: after.filter((a) => !before.some((b) => same(a, b))),
    remove: before.filter((b) => !after.some((a) => a.source === b.source)).map(({ source }) => ({ source })),
  };
}

export function parseTag(text: string): Tag | null {
  const match = /^([a-zA-Z0-9._-]{1,128})(?:=([a-zA-Z0-9._-]{1,256}))?$/.exec(text.trim());
  return match ? { key: match[1]!, ...(match[2] ? { value: match[2] } : {}) } : null;
}

export interface Settings {
  name: string;
  channel: string;
  dumps: boolean;
  tags: Tag[];
}

/** The fields that differ, as the API takes them. */
export function settingsPatch(before: Settings, after: Settings): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  if (before.name !== after.name) patch['name'] = after.name.trim();
  if (before.channel !== after.channel) patch['releaseChannel'] = after.channel;
  if (before.dumps !== after.dumps) patch['enableCoreDumps'] = after.dumps;
  const add = after.tags.filter((a) => !before.tags.some((b) => b.key === a.key && b.value === a.value));
  const remove = before.tags.filter((b) => !after.tags.some((a) => a.key === b.key)).map(({ key }) => ({ key }));
  if (add.length || remove.length) patch['tags'] = { add, remove };
  return patch;
}
