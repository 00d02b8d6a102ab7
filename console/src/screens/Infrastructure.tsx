// One infrastructure: its link, its plans, what runs in it, and taking it away.
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { approverText } from '../lib/consent';
import { saveFile } from '../lib/csv';
import { Button, Card, Check, Empty, Facts, Notice, TextInput, Time } from '../ui/basics';
import { Copyable } from '../ui/code';
import { Confirm } from '../ui/dialog';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { announce } from '../ui/toast';
import { DriftCard } from './Drift';
import { LockCard, PolicyCard } from './Lock';
import { RemovalCard } from './Removal';
import { roundTrip } from './Home';
import { State } from './states';

type Data = Schemas['Infrastructure'];
type Plan = Schemas['Plan'];

export function Infrastructure() {
  const { t } = useWords();
  const { infrastructureId } = useParams({ strict: false }) as { infrastructureId: string };
  const query = useApi('infrastructureGet', { path: { infrastructureId } });
  const up = { to: '/infrastructures', label: t('nav.infrastructures') };
  if (query.data) return <Detail infrastructure={query.data as Data} up={up} />;
  return (
    <Page title={t('infrastructure.title')} up={up}>
      <Loaded query={query}>{() => null}</Loaded>
    </Page>
  );
}

export function planSummary(summary: Schemas['PlanSummary'], t: (key: never, values?: never) => string): string {
  const parts = (['create', 'change', 'replace', 'destroy'] as const).filter((k) => summary[k] > 0);
  return parts.length ? parts.map((k) => t(`plan.count.${k}` as never, { n: summary[k] } as never)).join(t('list.and' as never)) : t('plan.count.nothing' as never);
}

function Detail({ infrastructure: i, up }: { infrastructure: Data; up: { to: string; label: string } }) {
  const { t, word, number } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const plans = useApi('planGetList', { query: { infrastructureId: i.id } });
  const [dialog, setDialog] = useState<'' | 'remove' | 'rename'>('');
  const [deleteData, setDeleteData] = useState(false);
  const [name, setName] = useState(i.displayName);
  const ask = useChange('planRequest', () => {
    setDialog('');
    announce(t('infrastructure.planAsked'));
  });
  const rename = useChange('organizationByocInfrastructureUpdate', () => setDialog(''));
  const columns = useMemo<Column<Plan>[]>(
    () => [
      {
        key: 'what',
        title: t('plan.title'),
        width: 'minmax(12rem, 2fr)',
        render: (p) => (
          <Link to="/plans/$planId" params={{ planId: p.id } as never}>
            {word('plan.kind', p.kind)}: {planSummary(p.summary, t as never)}
          </Link>
        ),
        value: (p) => p.kind,
      },
      { key: 'state', title: t('service.state'), width: '10rem', value: (p) => word('state', p.state), render: (p) => <State value={p.state} /> },
      { key: 'made', title: t('plan.made'), width: '11rem', value: (p) => p.createdAt, render: (p) => <Time value={p.createdAt} /> },
      { key: 'by', title: t('plan.approvedBy'), value: (p) => p.approvedBy, render: (p) => (p.approvedBy ? approverText(p.approvedBy, t as never) : '–'), minor: true },
    ],
    [t, word],
  );
  const workloads = useMemo<Column<Data['workloads'][number]>[]>(
    () => [
      { key: 'name', title: t('infrastructure.name'), width: 'minmax(12rem, 3fr)', value: (w) => w.name, render: (w) => <code className="oh-break">{w.name}</code> },
      {
        key: 'state',
        title: t('service.state'),
        width: 'minmax(10rem, 3fr)',
        value: (w) => `${word('state', w.state)} ${w.error}`,
        render: (w) => (
          <div>
            <State value={w.state} />
            {w.error && <div className="oh-muted">{w.error}</div>}
          </div>
        ),
      },
      { key: 'restarts', title: t('infrastructure.restarted'), width: '9rem', value: (w) => w.restarts, render: (w) => t('infrastructure.restarts', { n: w.restarts }), end: true },
    ],
    [t, word],
  );
  const waiting = i.plan?.state === 'proposed';
  const over = i.state === 'infra-terminated';
  const removed = over || (i.plan?.kind === 'destroy' && (i.plan.state === 'applied' || i.plan.state === 'failed'));
  // A plan that was discarded is proposed anew only when asked for; whatever else differs, the drift below looks for.
  const discarded = i.plan?.kind === 'apply' && i.plan.state === 'discarded';
  return (
    <Page
      title={i.displayName}
      up={up}
      badge={<State value={i.state} />}
      actions={
        <>
          {i.plan && (
            <Button kind={waiting ? 'primary' : 'secondary'} onClick={() => void navigate({ to: '/plans/$planId', params: { planId: i.plan!.id } } as never)}>
              {t(waiting ? 'home.readPlan' : 'infrastructure.lastPlan')}
            </Button>
          )}
          {can('planRequest') && !over && (i.want === 'absent' || discarded) && (
            <Button busy={ask.isPending} onClick={() => ask.mutate({ path: { infrastructureId: i.id }, body: { kind: 'apply' } })}>
              {t(i.want === 'absent' ? 'infrastructure.keep' : 'infrastructure.askAgain')}
            </Button>
          )}
          {can('organizationByocInfrastructureUpdate') && <Button onClick={() => setDialog('rename')}>{t('action.rename')}</Button>}
          {can('planRequest') && i.want === 'present' && (
            <Button kind="empty" icon="trash" onClick={() => setDialog('remove')}>
              {t('infrastructure.remove')}
            </Button>
          )}
        </>
      }
    >
      {i.error && <Notice state="danger" title={t('infrastructure.error')}>{i.error}</Notice>}
      {ask.error && !dialog && <Notice state="danger">{ask.error.message}</Notice>}
      {waiting && (
        <Notice state="warning" title={t(i.plan!.kind === 'destroy' ? 'home.planRemoval' : 'home.plan', { name: i.displayName })}>
          {planSummary(i.plan!.summary, t as never)}
        </Notice>
      )}
      {removed && can('removalReportGet') && <RemovalCard infrastructureId={i.id} since={i.plan?.kind === 'destroy' ? i.plan.createdAt : i.createdAt} over={over} />}
      <div className="oh-cards">
        <Card title={t('infrastructure.about')}>
          <Facts
            items={[
              [t('infrastructure.place'), i.regionId === i.cloudProvider ? word('provider', i.cloudProvider) : `${word('provider', i.cloudProvider)} · ${i.regionId}`],
              [t('infrastructure.account'), i.accountName],
              [t('infrastructure.network'), <code>{i.vpcCidrRange}</code>],
              i.availabilityZoneSuffixes.length ? [t('infrastructure.zones'), i.availabilityZoneSuffixes.join(', ')] : null,
              [t('infrastructure.domain'), <Copyable text={i.domain} />],
              [t('infrastructure.isolation'), i.isolation ? word('isolation', i.isolation) : '–'],
              [t('infrastructure.document'), t('infrastructure.document.versions', { desired: i.desiredVersion, observed: i.observedVersion })],
              [t('infrastructure.observed'), <Time value={i.observedAt} relative />],
              [t('infrastructure.id'), <Copyable text={i.id} />],
            ]}
          />
          {i.caCertificate && (
            <Button icon="download" onClick={() => saveFile('ownhouse-ca.pem', 'application/x-pem-file', i.caCertificate!)}>
              {t('connect.downloadCa')}
            </Button>
          )}
        </Card>
        <Card title={t('infrastructure.link')}>
          {i.agents.length ? (
            i.agents.map((a) => (
              <Facts
                key={a.id}
                items={[
                  [t('agent.name'), a.name],
                  [t('service.state'), a.state === 'revoked' ? word('state', 'revoked') : <State value={a.connected ? 'connected' : 'disconnected'} />],
                  [t('agent.since'), <Time value={a.connectedSince} relative />],
                  [t('agent.seen'), <Time value={a.lastSeen} relative />],
                  [t('agent.version'), a.version],
                  [t('agent.roundTrip'), roundTrip(a.roundTripMs, number)],
                  [t('agent.address'), <code>{a.address}</code>],
                  [t('agent.certificate'), <Time value={a.certificateNotAfter} />],
                ]}
              />
            ))
          ) : (
            <Empty title={t('infrastructure.noAgent')}>{t('infrastructure.noAgent.do')}</Empty>
          )}
        </Card>
        {!over && <PolicyCard infrastructureId={i.id} />}
      </div>
      {!over && i.agents.length > 0 && <LockCard connected={i.agents.some((a) => a.connected)} />}
      {can('driftGetList') && !over && <DriftCard infrastructure={i} />}
      <Card title={t('plan.all')}>
        <Loaded query={plans}>
          {(list) => <List label={t('plan.all')} rows={list as Plan[]} columns={columns} rowKey={(p) => p.id} sort={{ key: 'made', down: true }} empty={<Empty title={t('plan.none')}>{t('plan.none.do')}</Empty>} />}
        </Loaded>
      </Card>
      {!over && (
        <Card title={t('infrastructure.workloads')}>
          <List label={t('infrastructure.workloads')} rows={i.workloads} columns={workloads} rowKey={(w) => w.name} sort={{ key: 'name' }} empty={<Empty title={t('infrastructure.noWorkloads')} />} />
        </Card>
      )}
      {dialog === 'remove' && (
        <Confirm
          title={t('infrastructure.remove.title', { name: i.displayName })}
          act={t('infrastructure.remove.act')}
          typed={i.displayName}
          danger
          busy={ask.isPending}
          problem={ask.error}
          onClose={() => setDialog('')}
          onConfirm={() => ask.mutate({ path: { infrastructureId: i.id }, body: { kind: 'destroy', ...(deleteData ? { deleteData: true } : {}) } })}
        >
          <p>{t('infrastructure.remove.what')}</p>
          <Check label={t('service.delete.data')} checked={deleteData} onChange={setDeleteData} />
        </Confirm>
      )}
      {dialog === 'rename' && (
        <Confirm title={t('action.rename')} act={t('form.save')} busy={rename.isPending} problem={rename.error} onClose={() => setDialog('')} onConfirm={() => rename.mutate({ path: { byocInfrastructureId: i.id }, body: { displayName: name.trim() } })}>
          <TextInput label={t('infrastructure.name')} value={name} onChange={setName} maxLength={100} required autoFocus />
        </Confirm>
      )}
    </Page>
  );
}
