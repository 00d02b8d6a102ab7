// An AWS account, from what its owner applies to the plan: roles by phase, what verifying finds, what fits.
import { useEffect, useMemo, useState, type FormEvent, type ReactNode } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { awsCapacity, NARROWEST, WIDEST, withPrefix, zonesFound } from '../lib/awsNetwork';
import { saveFile } from '../lib/csv';
import { parseNetwork } from '../lib/cidr';
import { adviceText, amountText, checkName, inOrderOfNeed, type Finding } from '../lib/findings';
import { Badge, Button, Card, Check, Facts, Field, Notice, Select, Skeleton, TextInput } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Loaded, Problem } from '../ui/errors';
import { Plain } from '../ui/table';

type Account = Schemas['Account'];
type Looked = Schemas['AccountCheck'];
type Artefact = Schemas['AccountArtefact'];

const ARN = /^arn:aws[a-z-]*:iam::\d{12}:(root|(user|role)\/[A-Za-z0-9+=,.@_/-]+)$/;

/** A check of the account: asked for, and its answer as soon as the controller has given one. */
function useCheck(account: Account, id: string, keep: (id: string) => void) {
  const ask = useChange('accountCheckCreate', (made) => keep((made as Looked).id));
  const [last, setLast] = useState<Looked | null>(null);
  const query = useApi('accountCheckGet', { path: { accountId: account.id, checkId: id } }, { enabled: !!id, refetchInterval: last?.id === id ? undefined : 1000 });
  const now = query.data as Looked | undefined;
  useEffect(() => {
    if (now && now.state !== 'waiting') setLast(now);
  }, [now]);
  return { ask, last: id ? last : null, waiting: ask.isPending || (!!id && (!now || now.state === 'waiting') && !query.error), problem: ask.error ?? query.error };
}

/** Names of resources may be broken where their parts are: one in a cell must not make the table wider than the page. */
const breakable = (text: string) => text.split(/(?<=[^:/][:/])(?=[^:/ ])/).flatMap((part, i) => (i ? [<wbr key={i} />, part] : [part]));

function Findings({ check, label }: { check: Looked; label: string }) {
  const { t, word } = useWords();
  const rows = inOrderOfNeed(check.results as Finding[]);
  const wrong = rows.filter((r) => r.outcome === 'wrong').length;
  const unknown = rows.filter((r) => r.outcome === 'unknown').length;
  if (check.state === 'failed') return <Notice state="danger" title={t('finding.failed')}>{check.error}</Notice>;
  return (
    <>
      <Notice state={wrong ? 'danger' : unknown ? 'warning' : 'success'}>
        {wrong ? t('finding.wrong', { n: wrong, all: rows.length }) : unknown ? t('finding.unknown', { n: unknown, all: rows.length }) : t('finding.good', { n: rows.length })}
      </Notice>
      <Plain
        label={label}
        heads={[t('finding.check'), t('finding.outcome'), t('finding.found'), t('finding.needed'), t('finding.do')]}
        rows={rows.map((r) => ({
          key: r.check + r.found,
          cells: [
            checkName(r.check, t as never, word),
            <Badge text={word('outcome', r.outcome)} state={r.outcome === 'ok' ? 'success' : r.outcome === 'wrong' ? 'danger' : 'warning'} className="oh-badge" />,
            breakable(amountText(r.found, t as never, word)),
            amountText(r.needed, t as never, word),
            adviceText(r.advice, t as never),
          ],
        }))}
      />
    </>
  );
}

export interface Kept {
  controller?: string;
  whoami?: string;
  verify?: string;
  preflight?: string;
}

interface StepProps {
  account: Account;
  kept: Kept;
  keep: (change: Kept) => void;
}

/** What the account's owner applies there, and whether it is as it should be. */
export function AwsRoles({ account, kept, keep, onNext }: StepProps & { onNext: () => void }) {
  const { t } = useWords();
  const asked = useCheck(account, kept.whoami ?? '', (whoami) => keep({ whoami }));
  const [typed, setTyped] = useState(kept.controller ?? '');
  const said = asked.last?.results[0];
  const found = said?.outcome === 'ok' ? said.found : '';
  useEffect(() => {
    if (!kept.whoami && !asked.ask.isPending && !asked.ask.error) asked.ask.mutate({ path: { accountId: account.id }, body: { kind: 'controller' } });
    // Asked once; which check it was is kept in the address.
  }, [account.id]);
  const controller = typed || found;
  const right = ARN.test(controller);
  const artefact = useApi('accountArtefactGet', { path: { accountId: account.id }, query: { controllerArn: controller } }, { enabled: right });
  const verify = useCheck(account, kept.verify ?? '', (id) => keep({ verify: id, controller: typed || undefined }));
  return (
    <div className="oh-stack">
      <Card title={t('aws.who')}>
        {asked.waiting && !typed ? (
          <p className="oh-muted" role="status">
            {t('aws.who.asking')}
          </p>
        ) : null}
        {said && said.outcome !== 'ok' && <Notice state="warning" title={t('aws.who.unknown')}>{adviceText(said.advice, t as never)}</Notice>}
        {asked.problem && <Problem problem={asked.problem} />}
        <TextInput
          label={t('aws.controller')}
          hint={[t('aws.controller.hint'), found && !typed ? adviceText(said?.advice ?? '', t as never) : ''].join(' ').trim()}
          error={controller && !right ? t('aws.controller.rule') : undefined}
          value={typed || found}
          onChange={setTyped}
          spellCheck={false}
          autoComplete="off"
          maxLength={512}
          placeholder="arn:aws:iam::123456789012:role/ownhouse-controller"
        />
        <Facts
          items={[
            [t('aws.accountId'), <Copyable text={String(account.config.accountId ?? '')} />],
            [t('aws.externalId'), <Copyable text={String(account.config.externalId ?? '')} />],
          ]}
        />
        <p className="oh-muted">{t('aws.externalId.what')}</p>
      </Card>
      {right && <Loaded query={artefact}>{(a) => <Roles account={account} artefact={a as Artefact} />}</Loaded>}
      <Card
        title={t('aws.verify')}
        actions={
          <Button kind={verify.last ? 'secondary' : 'primary'} busy={verify.waiting} onClick={() => verify.ask.mutate({ path: { accountId: account.id }, body: { kind: 'verify' } })}>
            {t(verify.last ? 'aws.verify.again' : 'aws.verify.act')}
          </Button>
        }
      >
        <p>{t('aws.verify.what')}</p>
        {verify.problem && <Problem problem={verify.problem} />}
        {verify.waiting && !verify.last && <Skeleton />}
        {verify.last && <Findings check={verify.last} label={t('aws.verify')} />}
        {verify.last?.results.some((r) => r.outcome === 'wrong') && <p className="oh-muted">{t('aws.verify.goOn')}</p>}
        <div className="oh-form-actions">
          <Button kind={verify.last ? 'primary' : 'secondary'} onClick={onNext}>
            {t('action.next')}
          </Button>
        </div>
      </Card>
      {right && artefact.data && <BucketPolicies account={account} artefact={artefact.data as Artefact} />}
    </div>
  );
}

function Roles({ account, artefact }: { account: Account; artefact: Artefact }) {
  const { t, word } = useWords();
  const json = (value: unknown) => JSON.stringify(value, null, 1) + '\n';
  return (
    <Card title={t('aws.artefact')}>
      <p>{t('aws.artefact.what')}</p>
      <div className="oh-actions">
        <Button icon="download" onClick={() => saveFile('cloudformation.json', 'application/json', json(artefact.cloudformation))}>
          {t('aws.cloudformation')}
        </Button>
        <Button icon="download" onClick={() => saveFile('main.tf.json', 'application/json', json(artefact.terraform))}>
          {t('aws.terraform')}
        </Button>
      </div>
      <CodeBlock
        label={t('aws.apply')}
        text={`aws cloudformation deploy --stack-name ownhouse-${account.name} --capabilities CAPABILITY_NAMED_IAM \\\n    --template-file cloudformation.json`}
      />
      <p className="oh-muted">{t('aws.artefact.version', { version: artefact.version })}</p>
      <ul className="oh-tree" aria-label={t('aws.roles')}>
        {artefact.roles.map((r) => (
          <li key={r.phase}>
            <details>
              <summary>
                <span className="oh-strong">{word('phaseOf', r.phase)}</span> <code className="oh-break">{r.name}</code> <span className="oh-muted">{t('aws.actions', { n: r.actions.length })}</span>
              </summary>
              <div className="oh-tree-body">
                <p>{word('aws.phase', r.phase)}</p>
                <p className="oh-break">
                  <code>{r.actions.join(' ')}</code>
                </p>
                <div className="oh-actions">
                  <Button icon="download" onClick={() => saveFile(`${r.name}.json`, 'application/json', json(r.policies))}>
                    {t('aws.policies')}
                  </Button>
                </div>
              </div>
            </details>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** What only the account's owner may write, once an infrastructure has buckets. */
function BucketPolicies({ account, artefact }: { account: Account; artefact: Artefact }) {
  const { t } = useWords();
  const { can } = useSession();
  const query = useApi('infrastructureGetList', {}, { enabled: can('infrastructureGetList') });
  const there = ((query.data as Schemas['Infrastructure'][] | undefined) ?? []).filter((i) => i.accountId === account.id);
  const json = (value: unknown) => JSON.stringify(value, null, 1) + '\n';
  return (
    <Card title={t('aws.buckets')}>
      <p>{t('aws.buckets.what')}</p>
      <div className="oh-actions">
        <Button icon="download" onClick={() => saveFile('buckets.json', 'application/json', json(artefact.buckets.cloudformation))}>
          {t('aws.buckets.cloudformation')}
        </Button>
        <Button icon="download" onClick={() => saveFile('buckets.tf.json', 'application/json', json(artefact.buckets.terraform))}>
          {t('aws.buckets.terraform')}
        </Button>
      </div>
      {there.map((i) => (
        <CodeBlock
          key={i.id}
          label={t('aws.buckets.apply', { name: i.displayName })}
          text={`aws cloudformation deploy --stack-name ownhouse-${account.name}-buckets-${i.id.slice(0, 8)} --region ${i.regionId} \\\n    --template-file buckets.json --parameter-overrides Infrastructure=${i.id.slice(0, 8)}`}
        />
      ))}
      {there.length === 0 && <p className="oh-muted">{t('aws.buckets.later')}</p>}
    </Card>
  );
}

/** Region, zones and range, and whether an infrastructure would fit there. */
export function AwsPlace({ account, kept, keep, regions, busy, problem, onAsk }: StepProps & { regions: string[]; busy: boolean; problem: ReactNode; onAsk: (body: { regionId: string; displayName: string; vpcCidrRange: string; availabilityZoneSuffixes?: string[] }) => void }) {
  const { t, number } = useWords();
  const [name, setName] = useState(account.name);
  const [region, setRegion] = useState(regions[0]!);
  const [range, setRange] = useState('10.0.0.0/16');
  const [zones, setZones] = useState<string[] | null>(null);
  const look = useCheck(account, kept.preflight ?? '', (preflight) => keep({ preflight }));
  const capacity = awsCapacity(range.trim());
  const bits = parseNetwork(range)?.bits ?? WIDEST;
  const found = look.last?.regionId === region ? look.last : null;
  const there = useMemo(() => zonesFound(found?.results.find((r) => r.check === 'zones')?.found ?? '', region), [found, region]);
  const chosen = zones ?? there.slice(0, 3).map((z) => z.letter);
  const zonesWrong = there.length >= 3 && chosen.length !== 3;
  function submit(e: FormEvent) {
    e.preventDefault();
    if (capacity && !zonesWrong) onAsk({ regionId: region, displayName: name.trim() || account.name, vpcCidrRange: range.trim(), ...(there.length >= 3 ? { availabilityZoneSuffixes: chosen } : {}) });
  }
  return (
    <form className="oh-form is-page" onSubmit={submit} noValidate>
      <Card title={t('connectAccount.step.infrastructure')}>
        <TextInput label={t('infrastructure.name')} value={name} onChange={setName} maxLength={100} required />
        <Select
          label={t('connectAccount.region')}
          value={region}
          onChange={(r) => {
            setRegion(r);
            setZones(null);
          }}
          options={regions.map((r) => ({ value: r, label: r }))}
        />
        <TextInput label={t('connectAccount.range')} hint={t('aws.range.hint')} error={capacity ? undefined : t('aws.range.rule')} value={range} onChange={setRange} spellCheck={false} required />
        <Field label={t('aws.range.size')} hint={capacity ? t('aws.range.holds', { nodes: capacity.nodes, replicas: number(capacity.replicas), free: number(capacity.addresses) }) : undefined}>
          {(a) => (
            <input
              {...a}
              type="range"
              className="oh-range"
              min={WIDEST}
              max={NARROWEST}
              step={1}
              value={Math.min(Math.max(bits, WIDEST), NARROWEST)}
              aria-valuetext={`/${bits}`}
              onChange={(e) => setRange(withPrefix(range, Number(e.target.value)))}
            />
          )}
        </Field>
        {there.length >= 3 && (
          <fieldset className="oh-choice">
            <legend>{t('aws.zones')}</legend>
            {there.map((z) => (
              <Check
                key={z.letter}
                label={`${region}${z.letter}`}
                hint={z.id}
                checked={chosen.includes(z.letter)}
                onChange={(on) => setZones(on ? [...chosen, z.letter].sort() : chosen.filter((c) => c !== z.letter))}
              />
            ))}
            {zonesWrong && <Notice state="warning">{t('aws.zones.rule')}</Notice>}
          </fieldset>
        )}
      </Card>
      <Card
        title={t('aws.preflight')}
        actions={
          <Button busy={look.waiting} disabled={!capacity} onClick={() => look.ask.mutate({ path: { accountId: account.id }, body: { kind: 'preflight', regionId: region, vpcCidrRange: range.trim() } })}>
            {t(look.last ? 'aws.preflight.again' : 'aws.preflight.act')}
          </Button>
        }
      >
        <p>{t('aws.preflight.what')}</p>
        {look.problem && <Problem problem={look.problem} />}
        {look.waiting && !look.last && <Skeleton />}
        {look.last && !found && <Notice>{t('aws.preflight.other', { region: look.last.regionId })}</Notice>}
        {found && <Findings check={found} label={t('aws.preflight')} />}
        {problem}
        <div className="oh-form-actions">
          <Button submit kind="primary" busy={busy} disabled={!capacity || zonesWrong}>
            {t('connectAccount.ask')}
          </Button>
        </div>
      </Card>
    </form>
  );
}
