// What screens decide, and the catalogues.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';

vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => undefined }));
vi.stubGlobal('localStorage', { getItem: () => null, setItem: () => undefined, removeItem: () => undefined });

const { ago, format, humanize, preferred } = await import('../src/i18n');
const { en } = await import('../src/i18n/en');
const { zh } = await import('../src/i18n/zh');

const src = fileURLToPath(new URL('../src/', import.meta.url));
function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const at = path.join(folder, name);
    return statSync(at).isDirectory() ? files(at) : [at];
  });
}

describe('catalogues', () => {
  test('have the same keys and the same places to fill in', () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
    const holes = (text: string) => (text.match(/\{\w+\}/g) ?? []).sort().join();
    for (const key of Object.keys(en) as (keyof typeof en)[]) expect(`${key} ${holes(zh[key])}`).toBe(`${key} ${holes(en[key])}`);
  });
  test('every message that a screen names is there', () => {
    for (const file of files(src).filter((f) => /\.tsx?$/.test(f) && !f.includes('i18n') && !f.includes('generated')))
      for (const [, key] of readFileSync(file, 'utf8').matchAll(/\bt\(\s*'([\w.-]+)'/g)) expect(en, `${key} in ${file}`).toHaveProperty([key!]);
  });
  test('no screen has words of its own', () => {
    for (const file of files(path.join(src, 'screens')).concat(files(path.join(src, 'app'))))
      for (const [, text] of readFileSync(file, 'utf8').matchAll(/>\s*([A-Z][a-z]+ [a-z]+[^<>{}()=;]*)</g)) expect.fail(`${file}: ${text}`);
  });
  test('plurals and numbers by locale', () => {
    expect(format(en, 'en', 'role.policies', { n: 1 })).toBe('1 policy');
    expect(format(en, 'en', 'role.policies', { n: 1200 })).toBe('1,200 policies');
    expect(format(zh, 'zh-Hans', 'role.policies', { n: 1 })).toBe('1 条策略');
  });
  test('the language that the reader asked for', () => {
    expect(preferred(['zh-CN', 'en'])).toBe('zh');
    expect(preferred(['de', 'en-GB'])).toBe('en');
    expect(preferred([])).toBe('en');
  });
  test('words that have no message yet', () => {
    expect(humanize('service_update_name')).toBe('Service update name');
    expect(humanize('10.0.0.1')).toBe('10.0.0.1');
  });
  test('how long ago', () => {
    expect(ago('en', -150)).toBe('2 minutes ago');
    expect(ago('en', 3600 * 5)).toBe('in 5 hours');
  });
});

describe('screens', () => {
  test('only paths of this console are gone back to', async () => {
    const { safePath } = await import('../src/screens/paths');
    for (const bad of ['//evil.example', '/\\evil.example', 'https://evil.example', '', undefined]) expect(safePath(bad)).toBe('/');
    expect(safePath('/services?tab=access')).toBe('/services?tab=access');
  });
  test('an access list is patched by what differs', async () => {
    const { accessPatch } = await import('../src/lib/patches');
    expect(accessPatch([{ source: 'a' }, { source: 'b', description: 'x' }], [{ source: 'b', description: 'y' }, { source: 'c' }])).toEqual({
      add: [{ source: 'b', description: 'y' }, { source: 'c' }],
      remove: [{ source: 'a' }],
    });
  });
  test('settings are patched by what differs', async () => {
    const { settingsPatch } = await import('../src/lib/patches');
    const before = { name: 'a', channel: 'default', dumps: false, tags: [{ key: 'k', value: '1' }] };
    expect(settingsPatch(before, before)).toEqual({});
    expect(settingsPatch(before, { ...before, name: ' b ', tags: [] })).toEqual({ name: 'b', tags: { add: [], remove: [{ key: 'k' }] } });
  });
  test('labels', async () => {
    const { parseTag } = await import('../src/lib/patches');
    expect(parseTag('env=prod')).toEqual({ key: 'env', value: 'prod' });
    expect(parseTag('env')).toEqual({ key: 'env' });
    expect(parseTag('a b')).toBeNull();
  });
  test('rows are sorted as people count, the empty last', async () => {
    const { compare } = await import('../src/lib/compare');
    expect(['b10', '', 'b9', 'a'].sort((a, b) => compare(a, b, 'en'))).toEqual(['a', 'b9', 'b10', '']);
    expect(compare(2, 10, 'en')).toBeLessThan(0);
  });
});
