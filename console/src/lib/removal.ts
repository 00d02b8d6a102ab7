// The report of a removal as the screen shows it: what is left, what that costs, and the reasons in the reader's words.

interface Item {
  state: 'gone' | 'there' | 'unknown';
  monthly: number | null;
}

/** What is gone and what is not, the latter's known cost in hundredths of a US dollar a month, and how many have none. */
export function leftOf<I extends Item>(items: I[]): { gone: I[]; left: I[]; monthly: number; unpriced: number } {
  const left = items.filter((i) => i.state !== 'gone');
  return {
    gone: items.filter((i) => i.state === 'gone'),
    left,
    monthly: left.reduce((sum, i) => sum + (i.monthly ?? 0), 0),
    unpriced: left.filter((i) => i.monthly === null).length,
  };
}

const SENTENCES: Record<string, string> = {
  'it holds data, which was to be kept': 'data',
  'what was to be kept stands on it': 'under',
  'what had to go before it is still there': 'after',
  'this release does not know resources of this type': 'type',
  'replaced; what carries its identity now is the next one': 'replaced',
  'scheduled for deletion: AWS deletes the key 30 days after that, free of charge': 'key',
  'looked for by its identity and not found': 'looked',
  "carries the infrastructure's tag but is not in the journal": 'stranger',
};

const FORMS: [RegExp, string][] = [
  [/^its removal failed: (.*)$/s, 'failed'],
  [/^(.*), (?:gone|there|unknown): see above$/s, 'above'],
  [/^What else carries the tag could not be listed: (.*)$/s, 'unlisted'],
];

/** The message of one of the control plane's sentences; one that the catalogues do not know yet stays as `text`. */
export function reasonOf(why: string): { key?: string; values?: Record<string, string>; text: string } {
  const whole = Object.hasOwn(SENTENCES, why) ? SENTENCES[why] : undefined;
  if (whole) return { key: `removal.why.${whole}`, text: why };
  for (const [form, name] of FORMS) {
    const found = form.exec(why);
    if (found) return { key: `removal.why.${name}`, values: { detail: found[1]! }, text: why };
  }
  return { text: why };
}
