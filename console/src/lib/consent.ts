// What people sign, read without trusting its shape: canonical form and digest, effects, signatures, checkpoints.

/** RFC 8785: keys sorted by UTF-16 code units; numbers and texts as JavaScript writes them. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const o = value as Record<string, unknown>;
    const names = Object.keys(o).sort();
    return `{${names.map((k) => `${JSON.stringify(k)}:${canonical(o[k])}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

export async function digestOf(document: unknown): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonical(document)));
  return [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

export interface FieldChange {
  path: string;
  class: string;
  before: unknown;
  after: unknown;
}

export interface RequestView {
  operations: string[];
  service: string;
  services: string[];
  gate: string;
  changes: FieldChange[];
  policy: Record<string, unknown> | null;
  /** What has no place of its own above, as name and value. */
  other: [string, string][];
  by: string;
  reason: string;
  ticket: string;
  minutes: number;
  deviceKey: string;
  preapproval: string;
  state: string;
}

const text = (v: unknown) => (typeof v === 'string' ? v : '');
const texts = (v: unknown) => (Array.isArray(v) ? v.filter((x): x is string => typeof x === 'string') : []);
const object = (v: unknown) => (v !== null && typeof v === 'object' && !Array.isArray(v) ? (v as Record<string, unknown>) : {});

export function readRequest(document: unknown): RequestView {
  const d = object(document);
  const { service, services, gate, changes, policy, ...rest } = object(d['arguments']);
  return {
    operations: texts(d['operations']),
    service: text(service),
    services: texts(services),
    gate: text(gate),
    changes: (Array.isArray(changes) ? changes : []).map((c: unknown) => {
      const o = object(c);
      return { path: text(o['path']), class: text(o['class']), before: o['before'] ?? null, after: o['after'] ?? null };
    }),
    policy: policy === undefined ? null : object(policy),
    other: Object.entries(rest).map(([k, v]) => [k, showJson(v)]),
    by: text(d['by']),
    reason: text(d['reason']),
    ticket: text(d['ticket']),
    minutes: typeof d['minutes'] === 'number' ? d['minutes'] : 0,
    deviceKey: text(d['deviceKey']),
    preapproval: text(d['preapproval']),
    state: text(d['state']),
  };
}

export function showJson(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value, null, 1);
}

export interface Approval {
  verdict: 'approve' | 'deny';
  by: string;
  at: string;
  notAfter: string;
}

export function readApproval(document: unknown): Approval {
  const d = object(document);
  return { verdict: d['verdict'] === 'deny' ? 'deny' : 'approve', by: text(d['by']), at: text(d['at']), notAfter: text(d['notAfter']) };
}

export type SignatureProblem = 'notJson' | 'notSignature' | 'otherThing' | 'otherDigest' | 'key';

/** A signature as it was pasted or dropped: is it one, and of this very thing? Whether the key counts, others decide. */
export function readSignature(pasted: string, id: string, digest: string): { approval: Record<string, unknown>; verdict: 'approve' | 'deny' } | { problem: SignatureProblem } {
  // A private key has no business here: nothing of it is kept or sent.
  if (/PRIVATE KEY|"privateKey"/.test(pasted)) return { problem: 'key' };
  // A terminal may have given more lines than the one with the signature.
  const line = pasted.split('\n').find((l) => l.includes('"ownhouse/approval"')) ?? pasted;
  let value: unknown;
  for (const candidate of [pasted.trim(), line.trim()]) {
    try {
      value = JSON.parse(candidate);
      break;
    } catch {
      // The next form.
    }
  }
  if (value === undefined) return { problem: 'notJson' };
  const a = object(value);
  if (a['type'] !== 'ownhouse/approval' || !text(a['signature'])) return { problem: 'notSignature' };
  if (a['request'] !== id) return { problem: 'otherThing' };
  if (a['digest'] !== digest) return { problem: 'otherDigest' };
  return { approval: a, verdict: a['verdict'] === 'deny' ? 'deny' : 'approve' };
}

/** Who a key is by the policy that the data plane reported; '' for a key that it does not name. */
export function nameOfKey(policy: unknown, key: string): { name: string; side: 'approvers' | 'vendors' } | null {
  for (const side of ['approvers', 'vendors'] as const)
    for (const one of Array.isArray(object(policy)[side]) ? (object(policy)[side] as unknown[]) : [])
      if (object(one)['key'] === key) return { name: text(object(one)['name']), side };
  return null;
}

export interface Checkpoint {
  origin: string;
  size: number;
  root: string;
  /** By name of the key; `at` only for a witness, who says when. */
  signatures: { name: string; at: Date | null }[];
}

/** A C2SP signed note: origin, number of leaves and root, then signatures. Nothing is verified here. */
export function readCheckpoint(note: string): Checkpoint | null {
  const [head = '', tail = ''] = note.split('\n\n');
  const [origin = '', size = '', root = ''] = head.split('\n');
  if (!/^\d+$/.test(size) || !root) return null;
  const signatures = tail
    .split('\n')
    .filter((l) => l.startsWith('\u2014 '))
    .map((l) => {
      const [, name = '', blob = ''] = l.split(' ');
      return { name, at: cosignedAt(blob) };
    });
  return { origin, size: Number(size), root, signatures };
}

/** tlog-cosignature: 4 bytes of key id, 8 of time, 64 of signature; a plain signature has no time. */
function cosignedAt(blob: string): Date | null {
  let raw: string;
  try {
    raw = atob(blob);
  } catch {
    return null;
  }
  if (raw.length !== 4 + 8 + 64) return null;
  let seconds = 0;
  for (let i = 4; i < 12; i++) seconds = seconds * 256 + raw.charCodeAt(i);
  return new Date(seconds * 1000);
}

export interface AccessWish {
  infrastructure: string;
  targets: string[];
  services: string[];
  minutes: number;
  reason: string;
  ticket: string;
}

function shellQuote(word: string): string {
  return /^[A-Za-z0-9_.,:/@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function commandLine(words: string[]): string {
  return words.map(shellQuote).join(' ');
}

export function accessCommand(w: AccessWish): string {
  return commandLine([
    'ownhouse', 'access', 'request', '--infrastructure', w.infrastructure, '--target', w.targets.join(','),
    ...(w.services.length ? ['--service', w.services.join(',')] : []),
    '--minutes', String(w.minutes), '--reason', w.reason, ...(w.ticket ? ['--ticket', w.ticket] : []),
  ]);
}

/** A service as somebody wants it, for the command that makes it on the customer's device. */
export interface ServiceWish {
  name: string;
  infrastructure: string;
  networks: string[];
  memory: number;
  replicas: number;
  channel: string;
  idle: boolean;
  backup?: string;
}

export function createCommand(w: ServiceWish): string {
  return commandLine([
    'ownhouse', 'services', 'create', w.name, '--infrastructure', w.infrastructure, '--memory', String(w.memory), '--replicas', String(w.replicas),
    // Always said: left out it would mean that everybody may come; empty, nobody.
    '--from', w.networks.map((n) => (n === 'anywhere' ? '0.0.0.0/0' : n)).join(','),
    ...(w.channel !== 'default' ? ['--channel', w.channel] : []),
    ...(w.idle ? [] : ['--no-idle']),
    ...(w.backup ? ['--backup', w.backup] : []),
  ]);
}

/** The file that `ownhouse approve --request` reads, and its name. */
export function signingFile(kind: 'request' | 'plan', id: string, document: unknown, approvals: unknown): { name: string; text: string } {
  const body = kind === 'request' ? { request: document, approvals } : { plan: { id, document }, approvals };
  return { name: `ownhouse-${kind}-${id.slice(0, 8)}.json`, text: JSON.stringify(body) + '\n' };
}

/** What the data plane says of a request that waits, in the reader's words where it is one of its common sentences. */
export function whyText(why: string, t: (key: never, values?: never) => string): string {
  const [, n, all, side, more] = /^waits for (\d+) of (\d+) (customer|vendor) signatures(?:; (.*))?$/.exec(why) ?? [];
  if (!n) return why;
  return t(`request.waits.${side}` as never, { n: Number(n), all: Number(all) } as never) + (more ? ` (${more})` : '');
}

/** Who approved a plan: how the control plane writes it, in the reader's words. */
export function approverText(by: string, t: (key: never, values?: never) => string): string {
  const [, kind, name, drift, signers] = /^(API key|user) (.*?)( \(drift\))?(?:, with signatures of (.*))?$/.exec(by) ?? [];
  if (!kind) return by;
  const who = kind === 'user' ? name : t('role.key' as never, { name } as never);
  const reason = drift ? t('plan.by.drift' as never, { who } as never) : who!;
  return signers ? t('plan.by.signed' as never, { who: reason, signers } as never) : reason;
}
