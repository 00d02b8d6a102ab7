// Connects an account and asks for an infrastructure in it; what is made is shown in a plan first. How far one has come is
// in the address, so that the page can be left and come back to.
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useState, type FormEvent } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { addresses, isAligned, isPrivate, parseNetwork } from '../lib/cidr';
import { Button, Card, Check, Choice, Empty, Select, Skeleton, TextArea, TextInput } from '../ui/basics';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { AwsPlace, AwsRoles, type Kept } from './ConnectAws';

type Account = Schemas['Account'];
type Region = Schemas['Region'];

const REGIONS: Record<string, Region[]> = {
  aws: ['us-east-1', 'us-east-2', 'us-west-2', 'ca-central-1', 'eu-central-1', 'eu-west-1', 'eu-west-2', 'il-central-1', 'ap-northeast-1', 'ap-northeast-2', 'ap-south-1', 'ap-southeast-1', 'ap-southeast-2'],
  gcp: ['us-east1', 'us-central1', 'europe-west2', 'europe-west4', 'asia-southeast1', 'asia-northeast1'],
  azure: ['eastus', 'eastus2', 'westus3', 'germanywestcentral', 'centralus'],
};

interface Search extends Kept {
  account?: string;
  step?: 'place';
}

export function ConnectAccount() {
  const { t } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as Search;
  const accounts = useApi('accountGetList', {}, { enabled: can('accountGetList') });
  const account = (accounts.data as Account[] | undefined)?.find((a) => a.id === search.account);
  const go = (next: Search, replace = false) => void navigate({ to: '/connect', search: next, replace } as never);
  const up = { to: '/infrastructures', label: t('nav.infrastructures') };
  if (!can('accountCreate'))
    return (
      <Page title={t('infrastructures.connect')} up={up}>
        <Empty title={t('error.forbidden')}>{t('error.forbidden.do')}</Empty>
      </Page>
    );
  const aws = account?.provider === 'aws';
  const steps = (['account', 'roles', 'infrastructure', 'plan'] as const).filter((step) => step !== 'roles' || !account || aws);
  const at = !account ? 'account' : aws && search.step !== 'place' ? 'roles' : 'infrastructure';
  const keep = (change: Kept) => go({ ...search, ...change }, true);
  return (
    <Page title={t('infrastructures.connect')} up={up} lead={t('connectAccount.lead')}>
      <ol className="oh-steps" aria-label={t('connectAccount.steps')}>
        {steps.map((step) => (
          <li key={step} aria-current={at === step ? 'step' : undefined}>
            {t(`connectAccount.step.${step}`)}
          </li>
        ))}
      </ol>
      <Loaded query={accounts}>
        {(list) =>
          !account ? (
            search.account && accounts.isFetching ? (
              <Skeleton />
            ) : (
              <ChooseAccount accounts={list as Account[]} onDone={(chosen) => go({ account: chosen.id })} />
            )
          ) : at === 'roles' ? (
            <AwsRoles key={account.id} account={account} kept={search} keep={keep} onNext={() => go({ ...search, step: 'place' })} />
          ) : (
            <AskInfrastructure key={account.id} account={account} kept={search} keep={keep} />
          )
        }
      </Loaded>
    </Page>
  );
}

/** What was typed as a JSON object; nothing typed is an empty one, anything else null. */
function parseObject(text: string): Record<string, unknown> | null {
  if (!text.trim()) return {};
  try {
    const value: unknown = JSON.parse(text);
    return value && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function ChooseAccount({ accounts, onDone }: { accounts: Account[]; onDone: (account: Account) => void }) {
  const { t, word } = useWords();
  const [which, setWhich] = useState(accounts[0]?.id ?? 'new');
  const [name, setName] = useState('');
  const [cloud, setCloud] = useState<'aws' | 'local'>('aws');
  const [ports, setPorts] = useState({ https: '8444', native: '9444', base: '8500' });
  const [aws, setAws] = useState({ accountId: '', single: false, more: '' });
  const [error, setError] = useState({ name: '', accountId: '', more: '' });
  const create = useChange('accountCreate', (made) => onDone(made as Account));
  function submit(e: FormEvent) {
    e.preventDefault();
    const known = accounts.find((a) => a.id === which);
    if (known) {
      onDone(known);
      return;
    }
    const more = cloud === 'aws' ? parseObject(aws.more) : {};
    const wrong = {
      name: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name) ? '' : t('connectAccount.name.rule'),
      accountId: cloud !== 'aws' || /^\d{12}$/.test(aws.accountId) ? '' : t('aws.accountId.rule'),
      more: more ? '' : t('aws.more.rule'),
    };
    setError(wrong);
    if (wrong.name || wrong.accountId || wrong.more) return;
    create.mutate({
      body:
        cloud === 'aws'
          ? { name, provider: 'aws', config: { ...more, accountId: aws.accountId, ...(aws.single ? { nat: 'single' as const } : {}) } }
          : { name, provider: 'local', config: { httpsPort: Number(ports.https), nativePort: Number(ports.native), servicePortBase: Number(ports.base) } },
    });
  }
  const port = (key: keyof typeof ports, label: string) => <TextInput label={label} type="number" min={1} max={65535} required value={ports[key]} onChange={(v) => setPorts({ ...ports, [key]: v })} />;
  return (
    <form className="oh-form is-page" onSubmit={submit} noValidate>
      <Card title={t('connectAccount.step.account')}>
        {accounts.length > 0 && (
          <Choice
            label={t('connectAccount.which')}
            value={which}
            onChange={setWhich}
            options={[...accounts.map((a) => ({ value: a.id, label: a.name, hint: word('provider', a.provider) })), { value: 'new', label: t('connectAccount.new') }]}
          />
        )}
        {which === 'new' && (
          <>
            <Choice
              label={t('connectAccount.cloud')}
              value={cloud}
              onChange={setCloud}
              options={[
                { value: 'aws', label: word('provider', 'aws'), hint: t('connectAccount.cloud.aws') },
                { value: 'local', label: word('provider', 'local'), hint: t('connectAccount.cloud.local') },
              ]}
            />
            <TextInput label={t('connectAccount.name')} hint={t('connectAccount.name.rule')} error={error.name || undefined} value={name} onChange={setName} maxLength={40} autoComplete="off" required />
            {cloud === 'aws' ? (
              <>
                <TextInput label={t('aws.accountId')} hint={t('aws.accountId.hint')} error={error.accountId || undefined} value={aws.accountId} onChange={(accountId) => setAws({ ...aws, accountId })} inputMode="numeric" maxLength={12} autoComplete="off" required />
                <Check label={t('aws.single')} hint={t('aws.single.hint')} checked={aws.single} onChange={(single) => setAws({ ...aws, single })} />
                <details>
                  <summary>{t('create.more')}</summary>
                  <TextArea label={t('aws.more')} hint={t('aws.more.hint')} error={error.more || undefined} optional value={aws.more} onChange={(more) => setAws({ ...aws, more })} spellCheck={false} placeholder='{"features": {"hostedZone": true}}' />
                </details>
              </>
            ) : (
              <div className="oh-columns">
                {port('https', t('connectAccount.httpsPort'))}
                {port('native', t('connectAccount.nativePort'))}
                {port('base', t('connectAccount.servicePorts'))}
              </div>
            )}
          </>
        )}
        {create.error && <Problem problem={create.error} />}
        <div className="oh-form-actions">
          <Button submit kind="primary" busy={create.isPending}>
            {t('action.next')}
          </Button>
        </div>
      </Card>
    </form>
  );
}

function AskInfrastructure({ account, kept, keep }: { account: Account; kept: Kept; keep: (change: Kept) => void }) {
  const { t, number } = useWords();
  const navigate = useNavigate();
  const [name, setName] = useState(account.name);
  const [range, setRange] = useState('');
  const [region, setRegion] = useState<Region>(() => REGIONS[(account.config as { standsFor?: string }).standsFor ?? '']?.[0] ?? 'local');
  const [error, setError] = useState('');
  const [made, setMade] = useState('');
  const create = useChange('organizationByocInfrastructureCreate', (result) => setMade((result as { id: string }).id));
  // The controller proposes the plan a moment after the wish is there.
  const infrastructure = useApi('infrastructureGet', { path: { infrastructureId: made } }, { enabled: !!made, refetchInterval: made ? 1000 : undefined });
  const plan = (infrastructure.data as Schemas['Infrastructure'] | undefined)?.plan;
  useEffect(() => {
    if (plan) void navigate({ to: '/plans/$planId', params: { planId: plan.id } } as never);
  }, [plan, navigate]);

  const standsFor = (account.config as { standsFor?: string }).standsFor;
  const regions = standsFor
    ? REGIONS[standsFor]!.map((r) => ({ value: r, label: r }))
    : [{ value: 'local', label: t('connectAccount.thisMachine') }];
  const network = parseNetwork(range);
  const wrong = range !== '' && (!network || !isPrivate(network) || !isAligned(network) || network.bits < 8 || network.bits > 29);
  function submit(e: FormEvent) {
    e.preventDefault();
    if (wrong) {
      setError(t('connectAccount.range.rule'));
      return;
    }
    create.mutate({ body: { accountId: account.id, regionId: region, displayName: name.trim() || account.name, ...(range ? { vpcCidrRange: range.trim() } : {}) } });
  }
  if (made)
    return (
      <Card title={t('connectAccount.step.plan')}>
        <p>{t('connectAccount.planComes')}</p>
        {infrastructure.error && <Problem problem={infrastructure.error} />}
        <Skeleton />
      </Card>
    );
  if (account.provider === 'aws')
    return (
      <AwsPlace
        account={account}
        kept={kept}
        keep={keep}
        regions={REGIONS['aws']!}
        busy={create.isPending}
        problem={create.error && <Problem problem={create.error} />}
        onAsk={(body) => create.mutate({ body: { accountId: account.id, ...body } as never })}
      />
    );
  return (
    <form className="oh-form is-page" onSubmit={submit} noValidate>
      <Card title={t('connectAccount.step.infrastructure')}>
        <TextInput label={t('infrastructure.name')} value={name} onChange={setName} maxLength={100} required />
        <Select label={t('connectAccount.region')} value={region} onChange={(r) => setRegion(r as Region)} options={regions} />
        <TextInput
          label={t('connectAccount.range')}
          optional
          hint={network && !wrong ? t('connectAccount.range.holds', { n: addresses(network), free: number(Math.max(0, addresses(network) - 5)) }) : t('connectAccount.range.hint')}
          error={error && wrong ? error : undefined}
          placeholder="10.0.0.0/16"
          value={range}
          onChange={setRange}
          spellCheck={false}
        />
        {create.error && <Problem problem={create.error} />}
        <div className="oh-form-actions">
          <Button submit kind="primary" busy={create.isPending}>
            {t('connectAccount.ask')}
          </Button>
        </div>
      </Card>
    </form>
  );
}
