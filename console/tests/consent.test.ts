// What is signed and what comes back, read without trust.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { en } from '../src/i18n/en';
import { accessCommand, approverText, canonical, commandLine, createCommand, digestOf, nameOfKey, readCheckpoint, readRequest, readSignature, signingFile, whyText } from '../src/lib/consent';
import { noteText } from '../src/lib/plan';

const id = 'a0934170-aba8-42a1-a752-c4ecc0d3bd44';
const digest = '6ce03066f71a178b37c59cdbf4211ca552ebf7e3b4b47385c7c502914bf5d959';
// A request as `ownhouse access request` made it, with the digest that the agent and the command line compute.
const request = {
  type: 'ownhouse/request',
  v: 1,
  id,
  infrastructure: '926d3756-555b-4901-bea6-2f67c5e354ac',
  operations: ['access.clickhouse.diag', 'access.cluster.view'],
  arguments: { gate: 'sha256/2a34047e94266123264e800fa3198ab951934ec11ccb0cae7008ae8ede0a4d4f' },
  reason: 'parts pile up',
  ticket: 'T-1',
  by: 'engineer',
  createdAt: '2026-11-23T06:36:08.251Z',
  notAfter: '2026-11-23T07:36:08.251Z',
  deviceKey: '09bf33fecb3682346e920e7a4360e1da097b7ea31314e75ade90190e2d1aa63b',
  minutes: 10,
};

describe('canonical form', () => {
  test('keys by code unit, nothing between, texts as RFC 8785 writes them', () => {
    expect(canonical({ b: [1, 'é\n', null, true], a: { '\u20ac': 1, '1': 2.5 } })).toBe('{"a":{"1":2.5,"€":1},"b":[1,"é\\n",null,true]}');
  });
  test('the digest is the one that was signed', async () => {
    expect(await digestOf(request)).toBe(digest);
    expect(await digestOf({ ...request, minutes: 11 })).not.toBe(digest);
    expect(await digestOf({ a: 1 })).toBe(createHash('sha256').update('{"a":1}').digest('hex'));
  });
});

describe('requests', () => {
  test('nothing of the arguments is left out', () => {
    const v = readRequest({ operations: ['service.restart'], arguments: { service: 's', odd: { x: 1 }, changes: [{ path: 'p', class: 'exposing', before: null, after: [1] }] }, minutes: 3 });
    expect(v.service).toBe('s');
    expect(v.changes).toEqual([{ path: 'p', class: 'exposing', before: null, after: [1] }]);
    expect(v.other.map(([k]) => k)).toEqual(['odd']);
    expect(v.minutes).toBe(3);
  });
  test('what is no request breaks nothing', () => {
    for (const odd of [null, 5, 'x', [], { arguments: [], operations: 'no' }]) expect(readRequest(odd).operations).toEqual([]);
  });
});

describe('signatures', () => {
  const approval = { type: 'ownhouse/approval', v: 1, request: id, digest, verdict: 'approve', signature: 'ab' };
  test('one that fits, also between other lines of a terminal', () => {
    const found = readSignature(`Paste this line into the console:\n${JSON.stringify(approval)}\n`, id, digest);
    expect(found).toEqual({ approval, verdict: 'approve' });
    expect(readSignature(JSON.stringify({ ...approval, verdict: 'deny' }, null, 2), id, digest)).toMatchObject({ verdict: 'deny' });
  });
  test('what does not fit, by why', () => {
    expect(readSignature('nonsense', id, digest)).toEqual({ problem: 'notJson' });
    expect(readSignature('{"type":"other"}', id, digest)).toEqual({ problem: 'notSignature' });
    expect(readSignature(JSON.stringify({ ...approval, signature: '' }), id, digest)).toEqual({ problem: 'notSignature' });
    expect(readSignature(JSON.stringify({ ...approval, request: 'x' }), id, digest)).toEqual({ problem: 'otherThing' });
    expect(readSignature(JSON.stringify({ ...approval, digest: 'x' }), id, digest)).toEqual({ problem: 'otherDigest' });
  });
  test('a private key is never taken', () => {
    expect(readSignature('-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIG', id, digest)).toEqual({ problem: 'key' });
  });
  test('names by the policy', () => {
    const policy = { approvers: [{ name: 'ada', key: '01' }], vendors: [{ name: 'vera', key: '02' }] };
    expect(nameOfKey(policy, '02')).toEqual({ name: 'vera', side: 'vendors' });
    expect(nameOfKey(policy, '03')).toBeNull();
    expect(nameOfKey(null, '01')).toBeNull();
  });
  test('the file that is signed elsewhere', () => {
    expect(signingFile('request', id, request, [])).toEqual({ name: 'ownhouse-request-a0934170.json', text: JSON.stringify({ request, approvals: [] }) + '\n' });
    expect(JSON.parse(signingFile('plan', id, { type: 'ownhouse/plan' }, []).text)).toEqual({ plan: { id, document: { type: 'ownhouse/plan' } }, approvals: [] });
  });
});

describe('checkpoints', () => {
  const note =
    'ownhouse/ledger/660ed864d5c4dfec\n11\nuBLb1hxwfTXrKsed7G3NHSDCEOxaVHRCVLO4OCnqIh8=\n\n' +
    '\u2014 ownhouse/ledger/660ed864d5c4dfec ok789+aN26GVLiSeriVuV2JMt/JZ3giOZPuHCYDaSauY4rPZsdVFHBvNZICE5PWkQQWiuNG+DvZt99eoh59vhVGzYwk=\n' +
    '\u2014 ownhouse/witness 2OztLgAAAABrA97JghSzrIQOlNb/i0GWMcBgJJrZXXu2makDEAvHlgt6fT90XmfrolIwEyFA2TjqcnwwQ/WybO7Trn5vClfJOnSADQ==\n';
  test('size, root, and when the witness signed', () => {
    const c = readCheckpoint(note)!;
    expect(c.size).toBe(11);
    expect(c.root).toBe('uBLb1hxwfTXrKsed7G3NHSDCEOxaVHRCVLO4OCnqIh8=');
    expect(c.signatures[0]!.at).toBeNull();
    expect(c.signatures[1]!.at!.toISOString().slice(0, 16)).toBe('2026-11-23T06:35');
  });
  test('none', () => {
    for (const odd of ['', 'x', 'a\nb\nc\n\n', 'a\n5\n']) expect(readCheckpoint(odd)).toBeNull();
  });
});

test('lines that are pasted into a shell stay one word where they were one', () => {
  expect(commandLine(['a', "it's", '', 'x;y', 'a,b'])).toBe("a 'it'\\''s' '' 'x;y' a,b");
  expect(accessCommand({ infrastructure: 'laptop', targets: ['cluster.view'], services: [], minutes: 5, reason: '$(rm)', ticket: '' })).toBe(
    "ownhouse access request --infrastructure laptop --target cluster.view --minutes 5 --reason '$(rm)'",
  );
});

describe("what the other side says, in the reader's words", () => {
  const t = (key: string, values: Record<string, unknown> = {}) => `${key} ${Object.values(values).join('|')}`.trim();
  test('why a request waits', () => {
    expect(whyText('waits for 1 of 2 customer signatures', t as never)).toBe('request.waits.customer 1|2');
    expect(whyText('waits for 1 of 1 vendor signatures', t as never)).toBe('request.waits.vendor 1|1');
    expect(whyText('waits for 1 of 1 customer signatures; the pre-approval has ended', t as never)).toBe('request.waits.customer 1|1 (the pre-approval has ended)');
    expect(whyText('the window is closed', t as never)).toBe('the window is closed');
  });
  test('who approved a plan', () => {
    expect(approverText('user ada@example.org', t as never)).toBe('ada@example.org');
    expect(approverText("API key Administrator's first key", t as never)).toBe("role.key Administrator's first key");
    expect(approverText('API key a key, with signatures of ada, bob', t as never)).toBe('plan.by.signed role.key a key|ada, bob');
    expect(approverText('user ada@example.org (drift)', t as never)).toBe('plan.by.drift ada@example.org');
    expect(approverText('the policy', t as never)).toBe('the policy');
  });
  test('the notes of a plan are the very ones that the control plane writes', () => {
    const source = ['cloud/estimate.c', 'cloud/aws/graph.c'].map((f) => readFileSync(new URL(`../../src/${f}`, import.meta.url), 'utf8').replace(/"\s+"/g, '')).join('');
    for (const note of ['local', 'prices', 'nodes', 'tls'] as const) {
      expect(source).toContain(en[`plan.note.${note}`]);
      expect(noteText(en[`plan.note.${note}`], t as never)).toBe(`plan.note.${note}`);
    }
    expect(noteText('something new', t as never)).toBe('something new');
  });
});

describe('the command that makes a service', () => {
  const wish = { name: "it's", infrastructure: 'i', networks: ['192.0.2.0/24', 'anywhere'], memory: 16, replicas: 2, channel: 'default', idle: true };
  test('says sizes and every network, and what is not as usual', () => {
    expect(createCommand(wish)).toBe(`ownhouse services create 'it'\\''s' --infrastructure i --memory 16 --replicas 2 --from 192.0.2.0/24,0.0.0.0/0`);
    expect(createCommand({ ...wish, channel: 'slow', idle: false, backup: 'b' })).toMatch(/ --channel slow --no-idle --backup b$/);
  });
  test('a service that nobody may reach is not one that everybody may', () => {
    expect(createCommand({ ...wish, networks: [] })).toContain(' --from ');
  });
});
