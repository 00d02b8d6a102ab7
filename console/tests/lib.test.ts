// The console's logic alone.
import { describe, expect, test } from 'vitest';
import { ApiError } from '../src/api/client';
import { backoff } from '../src/api/events';
import { covers, effective, resourceKind } from '../src/lib/access';
import { addresses, isAligned, isIpSource, isPrivate, parseNetwork } from '../src/lib/cidr';
import { connectLines, shellQuote, type Target } from '../src/lib/connect';
import { toCsv } from '../src/lib/csv';
import { bytes } from '../src/lib/bytes';
import { askOnce } from '../src/lib/once';
import { changesOf, layersOf, placeNodes, progressOf, showValue, splitResource } from '../src/lib/plan';
import { restoredName } from '../src/lib/restore';
import { doubleSha1Hex, makeKey, randomText, sha256Base64 } from '../src/lib/secrets';
import { replicasTyped, settingsSent, settingsTyped } from '../src/lib/stretches';
import { overlap, weekGrid } from '../src/lib/week';

describe('networks', () => {
  test('what is one and what is not', () => {
    expect(parseNetwork('10.0.0.0/16')).toEqual({ base: 167772160, bits: 16 });
    expect(parseNetwork('203.0.113.7')).toEqual({ base: 3405803783, bits: 32 });
    for (const wrong of ['', '10.0.0', '10.0.0.256', '10.0.0.0/33', 'a.b.c.d', '10.0.0.0/', '1.2.3.4.5']) expect(parseNetwork(wrong)).toBeNull();
  });
  test('capacity, alignment, privacy', () => {
    const net = (text: string) => parseNetwork(text)!;
    expect(addresses(net('10.0.0.0/16'))).toBe(65536);
    expect(isAligned(net('10.0.0.0/16'))).toBe(true);
    expect(isAligned(net('10.0.1.0/16'))).toBe(false);
    expect(isPrivate(net('172.31.0.0/16'))).toBe(true);
    expect(isPrivate(net('172.32.0.0/16'))).toBe(false);
    expect(isPrivate(net('10.0.0.0/7'))).toBe(false);
  });
  test('sources of an access list', () => {
    for (const right of ['anywhere', '0.0.0.0/0', '2001:db8::/32', '::1']) expect(isIpSource(right)).toBe(true);
    for (const wrong of ['everywhere', '300.1.1.1', 'host.example', '']) expect(isIpSource(wrong)).toBe(false);
  });
});

describe('connection lines', () => {
  const target: Target = { host: 'demo.example', port: 8443, user: 'default', password: `it's`, localPort: 8501, ca: '-----BEGIN-----\nx\n', native: null };
  test('the shell gets the password as it is', () => {
    expect(shellQuote(`it's`)).toBe(`'it'\\''s'`);
    expect(connectLines('curl', target)).toContain(`--user 'default:it'\\''s' https://demo.example:8443/`);
  });
  test('without a password none is in the line, and curl asks', () => {
    const line = connectLines('curl', { ...target, password: null });
    expect(line).toContain(`--user 'default' `);
    expect(connectLines('python', { ...target, password: null })).toContain('password="PASSWORD"');
  });
  test('the authority is written where it is needed, and only there', () => {
    expect(connectLines('curl', target)).toMatch(/^cat > ownhouse-ca\.pem <<'PEM'\n-----BEGIN-----\nx\nPEM\n/);
    for (const client of ['curl', 'python', 'node', 'go', 'java', 'csharp'] as const) expect(connectLines(client, target)).toContain('ownhouse-ca.pem');
    for (const client of ['curl', 'python', 'node', 'go', 'java', 'csharp'] as const) expect(connectLines(client, { ...target, ca: null })).not.toContain('ownhouse-ca.pem');
  });
  test('names under .localhost go to the own port, but for curl and browsers, which know them', () => {
    const here = { ...target, host: 'demo.laptop.ownhouse.localhost' };
    for (const client of ['curl', 'browser'] as const) expect(connectLines(client, here)).toContain('https://demo.laptop.ownhouse.localhost:8443/');
    for (const client of ['node', 'java'] as const) expect(connectLines(client, here)).toContain('https://localhost:8501');
    expect(connectLines('python', here)).toContain('host="localhost", port=8501');
    expect(connectLines('go', here)).toContain('"https://localhost:8501/"');
    const native = connectLines('go', { ...here, native: { host: 'n.laptop.ownhouse.localhost', port: 9444 } });
    expect(native).toContain('"localhost:9444"');
    expect(native).toContain('ServerName: "n.laptop.ownhouse.localhost"');
    expect(connectLines('csharp', here)).toContain('@"https://localhost:8501/"');
    expect(connectLines('node', { ...here, localPort: null })).toContain('https://demo.laptop.ownhouse.localhost:8443');
    expect(connectLines('node', target)).toContain('https://demo.example:8443');
  });
  test('a password stays whole in the quotes of each language', () => {
    const odd = { ...target, password: `a"b'c;d\\e` };
    expect(connectLines('csharp', odd)).toContain(`@"default:" + @"a""b'c;d\\e"`);
    expect(connectLines('java', odd)).toContain(`"a\\"b'c;d\\\\e"`);
    expect(connectLines('python', odd)).toContain(`password="a\\"b'c;d\\\\e"`);
  });
  test('the JDBC driver is told not to ask for what the embedded engine does not give', () => {
    expect(connectLines('java', target)).toContain('settings.put("compress", "0");');
    expect(connectLines('java', { ...target, native: { host: 'n.example', port: 9440 } })).not.toContain('compress');
  });
  test('no native endpoint, no line for it', () => {
    expect(connectLines('clickhouse', target)).toBe('');
    expect(connectLines('clickhouse', { ...target, native: { host: 'n.example', port: 9440 } })).toContain('--host n.example --port 9440 --secure');
  });
});

describe('secrets', () => {
  test('hashes that the API compares', async () => {
    expect(await sha256Base64('my own password')).toBe('dPzEfleCyqx4wCrfoDzOVM7h9o7S+V5RqRvmAye5n9Y=');
    expect(await doubleSha1Hex('abc')).toBe('0d3ced9bec10a777aec23ccc353a8c08a633045e');
  });
  test('a key is made of what is hashed', async () => {
    const key = await makeKey();
    expect(key.hashData.keyIdSuffix).toBe(key.keyId.slice(-4));
    expect(key.hashData.keySecretHash).toBe(await sha256Base64(key.keySecret));
    expect(JSON.stringify(key.hashData)).not.toContain(key.keySecret);
  });
  test('random text is long and never twice the same', () => {
    expect(randomText(40)).toMatch(/^[A-Za-z0-9]{40}$/);
    expect(new Set(Array.from({ length: 200 }, () => randomText(16))).size).toBe(200);
  });
});

describe('plans', () => {
  const document = {
    changes: [
      { resource: 'net.main', action: 'create', depends_on: [], why: [{ attribute: 'a', before: null, after: { known: 'after apply' }, replaces: false }] },
      { resource: 'disk.main', action: 'none', depends_on: [] },
      { resource: 'host.main', action: 'replace', destroys_data: true, depends_on: ['net.main', 'disk.main'], why: 'nonsense' },
      { resource: 7 },
    ],
  };
  const changes = changesOf(document);
  test('what is understood of a document', () => {
    expect(changes.map((c) => c.resource)).toEqual(['net.main', 'disk.main', 'host.main']);
    expect(changes[2]).toMatchObject({ destroysData: true, why: [] });
    expect(changesOf({})).toEqual([]);
  });
  test('each resource stands to the right of what it needs', () => {
    const layers = layersOf(changes);
    expect(layers.get('host.main')).toBe(1);
    const { nodes, columns, rows } = placeNodes(changes);
    expect([columns, rows]).toEqual([2, 2]);
    expect(nodes.get('host.main')!.x).toBeGreaterThan(nodes.get('net.main')!.x);
  });
  test('a circle does not hang', () => {
    const circle = changesOf({ changes: [{ resource: 'a.a', action: 'create', depends_on: ['b.b'] }, { resource: 'b.b', action: 'create', depends_on: ['a.a'] }] });
    expect(placeNodes(circle).nodes.size).toBe(2);
  });
  test('values as people read them', () => {
    expect(showValue({ known: 'after apply' })).toBe('after apply');
    expect(showValue({ secret: 'x' })).toBe('••••');
    expect(showValue(['a'])).toBe('["a"]');
    expect(splitResource('net.main')).toEqual({ type: 'net', name: 'main' });
  });
  test('the last phase counts', () => {
    const at = '2026-01-01T00:00:00Z';
    expect(progressOf([{ resource: 'a', phase: 'begin', detail: '', at }, { resource: 'a', phase: 'done', detail: '', at }]).get('a')!.phase).toBe('done');
  });
});

describe('access', () => {
  const p = 'control-plane:service:manage';
  test('nothing is allowed that no policy allows, and DENY beats ALLOW', () => {
    const [one] = effective([{ allowDeny: 'ALLOW', permissions: [p], resources: ['instance/*', 'instance/a'] }, { allowDeny: 'DENY', permissions: [p], resources: ['instance/a'] }], [p]);
    expect(one).toEqual({ permission: p, allowed: ['instance/*'], denied: ['instance/a'] });
    expect(effective([], [p])[0]!.allowed).toEqual([]);
    expect(effective([{ allowDeny: 'ALLOW', permissions: ['control-plane:service:*'], resources: ['instance/*'] }], [p])[0]!.allowed).toEqual(['instance/*']);
    expect(effective([{ allowDeny: 'ALLOW', permissions: [p], resources: ['instance/a'] }, { allowDeny: 'DENY', permissions: [p], resources: ['instance/*'] }], [p])[0]!.allowed).toEqual([]);
  });
  test('resources that fit', () => {
    expect(covers('instance/*', 'instance/a')).toBe(true);
    expect(covers('instance/a', 'instance/a')).toBe(false);
    expect(resourceKind(p)).toBe('instance');
    expect(resourceKind('control-plane:organization:view')).toBe('organization');
  });
});

describe('the week', () => {
  const nights = { weekdays: [6], startHourUtc: 22, endHourUtc: 4 };
  test('a stretch over midnight goes on the next day, from Saturday into Sunday', () => {
    const grid = weekGrid([nights]);
    expect(grid[6]![23]).toBe(0);
    expect(grid[0]![3]).toBe(0);
    expect(grid[0]![4]).toBe(-1);
  });
  test('overlaps are named', () => {
    expect(overlap([nights, { weekdays: [0], startHourUtc: 3, endHourUtc: 5 }])).toEqual([0, 1]);
    expect(overlap([nights, { weekdays: [0], startHourUtc: 4, endHourUtc: 5 }])).toBeNull();
  });
});

test('CSV quotes what needs it and disarms formulas', () => {
  expect(toCsv([{ a: 'x,y', b: '"' }, { a: '=1+1', c: null }])).toBe('a,b,c\r\n"x,y","""",\r\n\'=1+1,,\r\n');
});

test('backing off grows and stays bounded', () => {
  expect(backoff(0, () => 0)).toBe(1000);
  expect(backoff(3, () => 0)).toBe(8000);
  expect(backoff(30, () => 1)).toBe(18750);
});

describe('what is restored', () => {
  test('is called after the old service and the time of its backup, in fifty characters', () => {
    expect(restoredName('demo', '2026-11-23T12:14:25.098Z')).toBe('demo 2026-11-23 12.14');
    expect([...restoredName('a long name '.repeat(9), '2026-11-23T12:14:25.098Z')].length).toBeLessThanOrEqual(50);
    expect(restoredName('demo', '')).toBe('demo 2');
  });
});

describe('a link that counts once', () => {
  const lost = new ApiError(0, '', '');
  const used = new ApiError(400, 'token: the link is used up', '1');
  const no = (problem: unknown) => () => Promise.reject(problem);
  test('whose answer was lost lets in by what it has set', async () => {
    const memory = { lost: false };
    await expect(askOnce(memory, no(lost), no(lost))).rejects.toBe(lost);
    await expect(askOnce(memory, no(used), () => Promise.resolve('in'))).resolves.toBe('in');
    await expect(askOnce(memory, no(used), no(new ApiError(401, '', '')))).rejects.toBe(used);
  });
  test('and which was refused at once lets nobody in', async () => {
    await expect(askOnce({ lost: false }, no(used), () => Promise.resolve('in'))).rejects.toBe(used);
    await expect(askOnce({ lost: false }, () => Promise.resolve('done'), no(used))).resolves.toBe('done');
  });
});

test('an amount of bytes has its unit, in the plural too', () => {
  expect([0, 1, 326, 1500, 999999, 5e9].map((n) => bytes(n, 'en'))).toEqual(['0 bytes', '1 byte', '326 bytes', '1.5 kB', '1 MB', '5 GB']);
  expect([1, 326, 1500].map((n) => bytes(n, 'zh-CN'))).toEqual(['1字节', '326字节', '1.5 kB']);
});

describe('a stretch of the schedule', () => {
  test('its settings are kept as they are typed', () => {
    const typed = settingsTyped({ max_threads: '8', join_use_nulls: 1 });
    expect(typed).toEqual([{ name: 'max_threads', value: '8' }, { name: 'join_use_nulls', value: '1' }]);
    expect(settingsSent(typed)).toEqual({ max_threads: '8', join_use_nulls: '1' });
    expect(settingsSent([{ name: 'max_threads', value: ' 4 ' }])).toEqual({ max_threads: '4' });
    expect(settingsSent(settingsTyped(undefined))).toBeUndefined();
  });
  test('a number of replicas that is answered as a band is sent as a number', () => {
    expect(replicasTyped({ minReplicas: 3, maxReplicas: 3 })).toEqual({ numReplicas: 3 });
    expect(replicasTyped({ autoscalingMode: 'vertical', numReplicas: 2, minReplicas: 3, maxReplicas: 3 })).toEqual({ autoscalingMode: 'vertical', numReplicas: 2 });
    expect(replicasTyped({ autoscalingMode: 'horizontal', minReplicas: 1, maxReplicas: 3 })).toEqual({ autoscalingMode: 'horizontal', minReplicas: 1, maxReplicas: 3 });
  });
});
