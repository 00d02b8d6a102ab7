// What a look into an account says, in the reader's language: the check's name by its parts, advice by its sentence. What
// is not known here is shown as the control plane wrote it.

export interface Finding {
  check: string;
  outcome: 'ok' | 'wrong' | 'unknown';
  found: string;
  needed: string;
  advice: string;
}

type Word = (prefix: string, value: string | undefined | null) => string;
type Text = (key: never, values?: never) => string;

export function checkName(check: string, t: Text, word: Word): string {
  const role = /^(inspect|provision|operate|remove) role(?:: (.*))?$/.exec(check);
  if (role) return t('finding.role' as never, { phase: word('phaseOf', role[1]) } as never) + (role[2] ? t('finding.part' as never, { part: word('finding.of', role[2]) } as never) : '');
  const own = /^own network: (?:(subnet-[^:]+): )?(.*)$/.exec(check);
  if (own) return t('finding.network' as never) + own.slice(1).filter(Boolean).map((part) => t('finding.part' as never, { part: word('finding.of', part) } as never)).join('');
  const named = /^(quota|endpoint|zone|name|launch template): (.*)$/.exec(check);
  if (named) return t(`finding.${named[1]}` as never, { name: word('finding.of', named[2]) } as never);
  return word('finding.of', check);
}

const AMOUNTS: [RegExp, string][] = [
  [/^(?<nodes>\d+) nodes, (?<replicas>\d+) replicas$/, 'carries'],
  [/^(?<used>\d+) of (?<all>\d+) used$/, 'used'],
  [/^(?<n>\d+) in all, of which an unknown number is used$/, 'inAll'],
  [/^(?<n>\d+) free$/, 'free'],
  [/^(?<n>\d+) free \(peak (?<peak>\d+)\)$/, 'freePeak'],
  [/^at least (?<n>\d+) replicas \(plannedReplicas\)$/, 'needReplicas'],
  [/^(?<n>\d+), of (?<all>\d+) that AWS gives unasked$/, 'unasked'],
  [/^(?<n>\d+) addresses$/, 'addresses'],
  [/^(?<n>\d+) actions allowed$/, 'allowed'],
];

/** What is there or needed: amounts and fixed words in the reader's language, everything else as it is. */
export function amountText(text: string, t: Text, word: Word): string {
  for (const [form, key] of AMOUNTS) {
    const found = form.exec(text)?.groups;
    if (found) return t(`finding.${key}` as never, Object.fromEntries(Object.entries(found).map(([k, v]) => [k, Number(v)])) as never);
  }
  const denied = /^denied: (.*?)(?: and (\d+) more)?$/.exec(text);
  if (denied) return denied[2] ? t('finding.deniedMore' as never, { actions: denied[1], n: Number(denied[2]) } as never) : t('finding.denied' as never, { actions: denied[1] } as never);
  const tagged = /^(\d+) resources carry ownhouse:infrastructure, the first (.*)$/.exec(text);
  if (tagged) return t('finding.tagged' as never, { n: Number(tagged[1]), first: tagged[2] } as never);
  return word('finding.is', text);
}

/** Wrong first, then what could not be looked at; otherwise as it came. */
export function inOrderOfNeed(findings: Finding[]): Finding[] {
  const rank = { wrong: 0, unknown: 1, ok: 2 };
  return findings.map((f, i) => ({ f, i })).sort((a, b) => rank[a.f.outcome] - rank[b.f.outcome] || a.i - b.i).map(({ f }) => f);
}

const ADVICE: [RegExp, string][] = [
  [/^The role's trust does not demand sts:ExternalId/, 'trust'],
  [/^Apply the artefact of this release to have the role's rights/, 'simulate'],
  [/^Apply the artefact of this release again, unchanged/, 'unchanged'],
  [/^Apply the artefact of this release/, 'release'],
  [/^Apply the artefact with the parts/, 'parts'],
  [/^Apply the artefact, or attach the role again/, 'apply'],
  [/^The role is in another account/, 'account'],
  [/^Choose a region with three zones/, 'zones'],
  [/^Choose another range/, 'range'],
  [/^Choose a larger range/, 'larger'],
  [/^The two can live side by side/, 'peers'],
  [/^Look at it in the Service Quotas console/, 'quota'],
  [/^Ask AWS for more/, 'ask'],
  [/^Let the controller reach it/, 'reach'],
  [/^Run `ownhouse account verify`/, 'verify'],
  [/^The operator of the control plane gives/, 'keys'],
  [/^The role's path is not seen/, 'path'],
  [/^Overlay networks such as/, 'overlay'],
  [/^Name the VPC that is to be used/, 'vpc'],
  [/^Turn it on: nodes find/, 'dns'],
  [/^This subnet is public/, 'public'],
  [/^The agent dials out/, 'route'],
  [/^Without it all data go/, 's3'],
  [/^Name subnets of the VPC/, 'inside'],
  [/^Name larger subnets/, 'room'],
  [/^Set it: private load balancers/, 'tag'],
  [/^Name three private subnets/, 'subnets'],
  [/^Name subnets in three/, 'subnetZones'],
  [/^They are left alone/, 'existing'],
  [/^Change the account's settings/, 'settings'],
  [/^Apply the artefact; see/, 'dataRole'],
  [/^Apply the artefact, or name your own boundary/, 'boundary'],
  [/^Apply the artefact in this region/, 'template'],
  [/^Another role has this name/, 'otherRole'],
  [/^An infrastructure of OwnHouse made it/, 'ownZone'],
  [/^A second zone of this name/, 'otherZone'],
  [/^Look in the Service Quotas console/, 'unasked'],
];

export function adviceText(advice: string, t: Text): string {
  const known = ADVICE.find(([form]) => form.test(advice));
  return known ? t(`finding.do.${known[1]}` as never) : advice;
}
