// What the console says of a removal's report, and of a key that was made on a device.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { en } from '../src/i18n/en';
import { KEY_LINES, readHashes } from '../src/lib/deviceKey';
import { leftOf, reasonOf } from '../src/lib/removal';
import { sha256Base64 } from '../src/lib/secrets';

const source = readFileSync(fileURLToPath(new URL('../../src/control/controller/removal.c', import.meta.url)), 'utf8');

describe('the report of a removal', () => {
  test('what is not gone and what it costs', () => {
    const items = [
      { state: 'gone' as const, monthly: 0 },
      { state: 'there' as const, monthly: 1234 },
      { state: 'unknown' as const, monthly: null },
      { state: 'there' as const, monthly: 66 },
    ];
    expect(leftOf(items)).toEqual({ gone: [items[0]], left: items.slice(1), monthly: 1300, unpriced: 1 });
  });
  test('every reason that the control plane gives has words in the catalogues', () => {
    const said = [...source.matchAll(/judge\(m, item, "\w+", "([^"]+)"/g), ...source.matchAll(/\? "(it holds[^"]+)"/g), ...source.matchAll(/[?:] "(what [^"]+|carries[^"]+)"/g)].map((m) => m[1]!);
    expect(said.length).toBeGreaterThan(7);
    for (const one of [...said, 'its removal failed: no', 'aws_vpc.main, gone: see above', 'What else carries the tag could not be listed: no']) {
      const { key } = reasonOf(one);
      expect(key, one).toBeDefined();
      expect(en, one).toHaveProperty([key!]);
    }
  });
  test('what is not known stays as it was said', () => {
    for (const one of ['something new', 'constructor', '']) expect(reasonOf(one)).toEqual({ text: one });
    expect(reasonOf('its removal failed: DependencyViolation, gone')).toMatchObject({ values: { detail: 'DependencyViolation, gone' } });
  });
});

describe('a key that is made on a device', () => {
  test('the lines print the hashes of the key that they keep', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ownhouse-key-'));
    const hashes = readHashes(execFileSync('sh', ['-c', KEY_LINES], { cwd: folder, encoding: 'utf8' }))!;
    const file = path.join(folder, 'ownhouse-api-key.txt');
    const [, id, secret] = /^key id: (\w{20})\nsecret: (\w{40})\n$/.exec(readFileSync(file, 'utf8'))!;
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(hashes).toEqual({ keyIdHash: await sha256Base64(id!), keyIdSuffix: id!.slice(-4), keySecretHash: await sha256Base64(secret!) });
    rmSync(folder, { recursive: true });
  });
  test('anything else is not sent', () => {
    for (const wrong of ['', 'null', '[]', 'key id: a\nsecret: b', '{"keyIdHash":"a","keyIdSuffix":"bcde","keySecretHash":"c"}']) expect(readHashes(wrong)).toBeNull();
  });
});
