// What the console reckons and says about cloud accounts.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { awsCapacity, withPrefix, zonesFound } from '../src/lib/awsNetwork';
import { bucketBody } from '../src/lib/buckets';
import { en } from '../src/i18n/en';
import { adviceText, amountText, checkName, inOrderOfNeed } from '../src/lib/findings';

describe('a range on AWS', () => {
  test('carries what the control plane says', () => {
    expect(awsCapacity('10.0.0.0/16')).toEqual({ addresses: 16379, nodes: 1482, replicas: 1476 });
    expect(awsCapacity('10.0.0.0/21')).toEqual({ addresses: 507, nodes: 39, replicas: 33 });
    expect(awsCapacity('10.0.0.0/22')).toEqual({ addresses: 251, nodes: 54, replicas: 48 });
    expect(awsCapacity('10.0.0.0/23')).toEqual({ addresses: 123, nodes: 24, replicas: 18 });
  });
  test('is none outside the rules', () => {
    for (const wrong of ['', '10.0.0.0', '10.0.0.0/15', '10.0.0.0/24', '10.0.1.0/16', '11.0.0.0/16', 'x/16']) expect(awsCapacity(wrong)).toBeNull();
  });
  test('keeps its beginning where the prefix allows it', () => {
    expect(withPrefix('10.40.0.0/16', 20)).toBe('10.40.0.0/20');
    expect(withPrefix('10.40.16.0/20', 16)).toBe('10.40.0.0/16');
    expect(withPrefix('nonsense', 18)).toBe('10.0.0.0/18');
    expect(withPrefix('192.168.0.0/20', 23)).toBe('192.168.0.0/23');
  });
  test('zones by their letters', () => {
    expect(zonesFound('us-east-1a=use1-az1 us-east-1f=use1-az5', 'us-east-1')).toEqual([
      { letter: 'a', id: 'use1-az1' },
      { letter: 'f', id: 'use1-az5' },
    ]);
    expect(zonesFound('access denied', 'us-east-1')).toEqual([]);
  });
});

describe('findings', () => {
  const t = (key: string, values?: Record<string, unknown>) => key + (values ? `(${Object.values(values).join()})` : '');
  const word = (prefix: string, value?: string | null) => `${prefix}.${value}`;
  test('names by their parts', () => {
    expect(checkName('inspect role', t as never, word)).toBe('finding.role(phaseOf.inspect)');
    expect(checkName('remove role: artefact', t as never, word)).toBe('finding.role(phaseOf.remove)finding.part(finding.of.artefact)');
    expect(checkName('quota: VPCs', t as never, word)).toBe('finding.quota(finding.of.VPCs)');
    expect(checkName('zone: db.example', t as never, word)).toBe('finding.zone(finding.of.db.example)');
    expect(checkName('zones', t as never, word)).toBe('finding.of.zones');
  });
  test('what is wrong comes first, what is unknown next', () => {
    const f = (check: string, outcome: 'ok' | 'wrong' | 'unknown') => ({ check, outcome, found: '', needed: '', advice: '' });
    expect(inOrderOfNeed([f('a', 'ok'), f('b', 'unknown'), f('c', 'wrong'), f('d', 'wrong')]).map((x) => x.check).join('')).toBe('cdba');
  });
  test('amounts and fixed words', () => {
    expect(amountText('1482 nodes, 1476 replicas', t as never, word)).toBe('finding.carries(1482,1476)');
    expect(amountText('2 of 5 used', t as never, word)).toBe('finding.used(2,5)');
    expect(amountText('48 free (peak 196)', t as never, word)).toBe('finding.freePeak(48,196)');
    expect(amountText('at least 3 replicas (plannedReplicas)', t as never, word)).toBe('finding.needReplicas(3)');
    expect(amountText('let in', t as never, word)).toBe('finding.is.let in');
    expect(amountText('7 resources carry ownhouse:infrastructure, the first arn:aws:s3:::x', t as never, word)).toBe('finding.tagged(7,arn:aws:s3:::x)');
  });
  test('names of parts of an own network, and rights that are denied', () => {
    expect(checkName('own network: subnet-0abc: way out', t as never, word)).toBe('finding.networkfinding.part(finding.of.subnet-0abc)finding.part(finding.of.way out)');
    expect(checkName('own network: enableDnsSupport', t as never, word)).toBe('finding.networkfinding.part(finding.of.enableDnsSupport)');
    expect(amountText('denied: ec2:RunInstances (boundary) and 3 more', t as never, word)).toBe('finding.deniedMore(ec2:RunInstances (boundary),3)');
    expect(amountText('denied: ec2:RunInstances', t as never, word)).toBe('finding.denied(ec2:RunInstances)');
  });
  test('each sentence of advice that the control plane has is known, each to a message of its own', () => {
    const sources = ['inspect.c', 'names.c', 'own_network.c', 'quotas.c', 'simulate.c'].map((name) => readFileSync(new URL(`../../src/cloud/aws/${name}`, import.meta.url), 'utf8'));
    // Texts beside each other are one text to C.
    const texts = sources.flatMap((source) => source.match(/"(?:[^"\\]|\\.)*"(?:\s+"(?:[^"\\]|\\.)*")*/g) ?? []).map((text) => text.replace(/"\s+"/g, '').slice(1, -1));
    const advice = new Set(texts.filter((text) => /^[A-Z][^%]* [^%]*\.$/.test(text)));
    expect(advice.size).toBeGreaterThan(25);
    const messages = [...advice].map((one) => [one, adviceText(one, t as never)] as const);
    for (const [one, message] of messages) expect(en, one).toHaveProperty([message]);
    // Two sentences may say the same.
    expect(new Set(messages.map(([, message]) => message)).size).toBeGreaterThanOrEqual(advice.size - 1);
  });
  test('advice that is not known stays as it was written', () => {
    expect(adviceText('Choose a larger range.', t as never)).toBe('finding.do.larger');
    expect(adviceText('Something new.', t as never)).toBe('Something new.');
  });
});

test('a bucket needs what its cloud needs, and nothing that is empty is sent', () => {
  expect(bucketBody('AWS', { bucketPath: ' https://b/p ', iamRoleArn: '', iamRoleSessionName: '', containerName: 'x' })).toEqual({
    body: { bucketProvider: 'AWS', bucketPath: 'https://b/p' },
    missing: ['iamRoleArn'],
  });
  expect(bucketBody('AZURE', { containerName: 'c', connectionString: 's' })).toEqual({ body: { bucketProvider: 'AZURE', containerName: 'c', connectionString: 's' }, missing: [] });
});
