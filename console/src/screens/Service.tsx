// One service: how it is, how to reach it, and what can be changed.
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { passwordHashes, randomText } from '../lib/secrets';
import { Button, Card, Check, Empty, Facts, Notice, Skeleton, TextInput, Time } from '../ui/basics';
import { Copyable } from '../ui/code';
import { Confirm, Dialog } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { Tabs, type Tab } from '../ui/tabs';
import { announce } from '../ui/toast';
import { Connect } from './Connect';
import { keepPassword } from './freshPasswords';
import { SealedNotice, usePolicyModes } from './Sealed';
import { ServiceAccess } from './ServiceAccess';
import { ServiceSettings } from './ServiceSettings';
import { sizeText } from './Services';
import { State } from './states';

const ServiceScaling = lazy(() => import('./ServiceScaling').then((m) => ({ default: m.ServiceScaling })));
const ServiceBackups = lazy(() => import('./ServiceBackups').then((m) => ({ default: m.ServiceBackups })));
const ServiceClickHouse = lazy(() => import('./ServiceClickHouse').then((m) => ({ default: m.ServiceClickHouse })));
const ServiceEndpoints = lazy(() => import('./ServiceEndpoints').then((m) => ({ default: m.ServiceEndpoints })));
const ServiceHistory = lazy(() => import('./ServiceHistory').then((m) => ({ default: m.ServiceHistory })));

type ServiceData = Schemas['Service'];
type TabName = 'overview' | 'access' | 'scaling' | 'backups' | 'endpoints' | 'clickhouse' | 'settings' | 'history';

export function Service() {
  const { t } = useWords();
  const { serviceId } = useParams({ strict: false }) as { serviceId: string };
  const query = useApi('instanceGet', { path: { serviceId } });
  const up = { to: '/services', label: t('nav.services') };
  if (query.data) return <Detail service={query.data as ServiceData} up={up} gone={query.error?.status === 404} />;
  return (
    <Page title={t('service.title')} up={up}>
      <Loaded query={query}>{() => null}</Loaded>
    </Page>
  );
}

function Detail({ service: s, up, gone }: { service: ServiceData; up: { to: string; label: string }; gone: boolean }) {
  const { t } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const search = useSearch({ strict: false }) as { tab?: TabName; connect?: number };
  const [dialog, setDialog] = useState<'' | 'password' | 'stop' | 'delete'>('');
  const { asking, isSealed } = usePolicyModes();
  const sealed = isSealed(s.byocId);
  const state = useChange('instanceStateUpdate', () => setDialog(''));
  const remove = useChange('instanceDelete', () => {
    announce(t('service.deleted', { name: s.name ?? '' }));
    void navigate({ to: '/services' as never });
  });
  const [deleteData, setDeleteData] = useState(false);
  const set = (next: Record<string, unknown>) =>
    void navigate({ to: '/services/$serviceId', params: { serviceId: s.id! }, search: { tab: search.tab === 'overview' ? undefined : search.tab, ...next }, replace: true, resetScroll: false } as never);

  const tabs: Tab<TabName>[] = [
    { value: 'overview', label: t('service.overview'), panel: () => <Overview service={s} /> },
    { value: 'access', label: t('service.access'), panel: () => <ServiceAccess key={s.id} service={s} /> },
    ...(can('scalingScheduleGet') ? [{ value: 'scaling' as const, label: t('service.scaling'), panel: () => <Later>{<ServiceScaling service={s} />}</Later> }] : []),
    ...(can('backupConfigurationGet') ? [{ value: 'backups' as const, label: t('service.backups'), panel: () => <Later>{<ServiceBackups service={s} />}</Later> }] : []),
    ...(can('instanceQueryEndpointGet') || can('instancePrivateEndpointConfigGet') ? [{ value: 'endpoints' as const, label: t('service.otherWays'), panel: () => <Later>{<ServiceEndpoints key={s.id} service={s} />}</Later> }] : []),
    ...(can('serviceClickhouseSettingsListGet') ? [{ value: 'clickhouse' as const, label: t('clickhouse.title'), panel: () => <Later>{<ServiceClickHouse key={s.id} service={s} />}</Later> }] : []),
    { value: 'settings', label: t('service.settings'), panel: () => <ServiceSettings key={s.id} service={s} /> },
    ...(can('activityGetList') ? [{ value: 'history' as const, label: t('service.history'), panel: () => <Later>{<ServiceHistory service={s} />}</Later> }] : []),
  ];
  const may = can('instanceStateUpdate');
  return (
    <Page
      title={s.name ?? ''}
      up={up}
      badge={<State value={s.state ?? ''} />}
      actions={
        <>
          <Button kind={(search.tab ?? 'overview') === 'overview' ? 'primary' : 'secondary'} icon="connect" onClick={() => set({ connect: 1 })}>
            {t('connect.act')}
          </Button>
          {may && (s.state === 'stopped' || s.state === 'failed') && (
            <Button busy={state.isPending} onClick={() => state.mutate({ path: { serviceId: s.id! }, body: { command: 'start' } })}>
              {t('service.start')}
            </Button>
          )}
          {may && s.state === 'idle' && (
            <Button busy={state.isPending} onClick={() => state.mutate({ path: { serviceId: s.id! }, body: { command: 'awake' } })}>
              {t('service.wake')}
            </Button>
          )}
          {may && (s.state === 'running' || s.state === 'idle' || s.state === 'degraded') && <Button onClick={() => setDialog('stop')}>{t('service.stop')}</Button>}
          {can('instancePasswordUpdate') && <Button onClick={() => setDialog('password')}>{t('password.reset')}</Button>}
          {can('instanceDelete') && (
            <Button icon="trash" kind="empty" onClick={() => setDialog('delete')}>
              {t('action.delete')}
            </Button>
          )}
        </>
      }
    >
      {gone && <Notice state="warning">{t('service.gone')}</Notice>}
      {s.ownhouse?.error && <Notice state="danger" title={t('service.error')}>{s.ownhouse.error}</Notice>}
      {s.ownhouse?.notice && <Notice>{s.ownhouse.notice}</Notice>}
      {state.error && !dialog && <Problem problem={state.error} />}
      <Tabs label={s.name ?? ''} tabs={tabs} value={search.tab ?? 'overview'} onChange={(tab) => set({ tab: tab === 'overview' ? undefined : tab })} />
      {search.connect && (
        <Dialog title={t('connect.title', { name: s.name ?? '' })} wide onClose={() => set({ connect: undefined })}>
          <Connect service={s} onReset={can('instancePasswordUpdate') ? () => setDialog('password') : undefined} />
        </Dialog>
      )}
      {dialog === 'password' && sealed && (
        <Dialog title={t('password.reset.title', { name: s.name ?? '' })} onClose={() => setDialog('')}>
          <SealedNotice what={t('sealed.password.what')} command={['ownhouse', 'services', 'password', s.name ?? '']} />
        </Dialog>
      )}
      {dialog === 'password' && !sealed && !asking && (
        <ResetPassword
          service={s}
          onClose={() => setDialog('')}
          onDone={() => {
            setDialog('');
            set({ connect: 1 });
          }}
        />
      )}
      {dialog === 'stop' && (
        <Confirm
          title={t('service.stop.title', { name: s.name ?? '' })}
          act={t('service.stop')}
          busy={state.isPending}
          problem={state.error}
          onClose={() => setDialog('')}
          onConfirm={() => state.mutate({ path: { serviceId: s.id! }, body: { command: 'stop' } })}
        >
          <p>{t('service.stop.what')}</p>
        </Confirm>
      )}
      {dialog === 'delete' && (
        <Confirm
          title={t('service.delete.title', { name: s.name ?? '' })}
          act={t('service.delete.act')}
          typed={s.name}
          danger
          busy={remove.isPending}
          problem={remove.error}
          onClose={() => setDialog('')}
          onConfirm={() => remove.mutate({ path: { serviceId: s.id! }, query: deleteData ? { deleteData: 'true' } : {} })}
        >
          <p>{t(deleteData ? 'service.delete.withData' : 'service.delete.keepsData')}</p>
          <Check label={t('service.delete.data')} checked={deleteData} onChange={setDeleteData} />
        </Confirm>
      )}
    </Page>
  );
}

function Later({ children }: { children: React.ReactNode }) {
  return <Suspense fallback={<Skeleton />}>{children}</Suspense>;
}

function Overview({ service: s }: { service: ServiceData }) {
  const { t, number, word } = useWords();
  const o = s.ownhouse;
  return (
    <div className="oh-cards">
      <Card title={t('service.overview')}>
        <Facts
          items={[
            [t('service.state'), <State value={s.state ?? ''} />],
            [t('service.version'), s.clickhouseVersion || t('service.version.none')],
            [t('service.size'), sizeText(s, number)],
            o && [t('service.ready'), t('service.ready.of', { ready: o.readyReplicas, all: o.replicas })],
            o && [t('service.restarts'), number(o.restarts)],
            [t('service.idle'), s.idleScaling ? t('service.idle.after', { n: s.idleTimeoutMinutes ?? 15 }) : t('service.idle.never')],
            [t('service.channel'), word('channel', s.releaseChannel)],
            [t('service.created'), <Time value={s.createdAt} />],
            [t('service.id'), <Copyable text={s.id!} />],
          ]}
        />
      </Card>
      <Card title={t('service.endpoints')}>
        {s.endpoints?.length ? (
          <ul className="oh-lines">
            {s.endpoints.map((e) => (
              <li key={e.protocol}>
                <span>{word('protocol', e.protocol)}</span> <Copyable text={`${e.host}:${e.port}`} />
              </li>
            ))}
          </ul>
        ) : (
          <Empty title={t('service.noEndpoints')}>{t('service.noEndpoints.do')}</Empty>
        )}
      </Card>
    </div>
  );
}

/** A new password: made or typed here, hashed here; only hashes are sent. */
function ResetPassword({ service: s, onClose, onDone }: { service: ServiceData; onClose: () => void; onDone: () => void }) {
  const { t } = useWords();
  const [password, setPassword] = useState(() => randomText(24));
  const [error, setError] = useState('');
  const change = useChange('instancePasswordUpdate', () => {
    keepPassword(s.id!, password);
    announce(t('password.changed'));
    onDone();
  });
  return (
    <Confirm
      title={t('password.reset.title', { name: s.name ?? '' })}
      act={t('password.reset.act')}
      busy={change.isPending}
      problem={change.error}
      onClose={onClose}
      onConfirm={() => {
        if ([...password].length < 12) {
          setError(t('password.short', { n: 12 }));
          return;
        }
        void passwordHashes(password).then((body) => change.mutate({ path: { serviceId: s.id! }, body }));
      }}
    >
      <p>{t('password.reset.what')}</p>
      <TextInput label={t('password.new')} value={password} onChange={setPassword} error={error || undefined} autoComplete="off" spellCheck={false} className="oh-input is-mono" />
      <Button icon="refresh" onClick={() => setPassword(randomText(24))}>
        {t('password.another')}
      </Button>
    </Confirm>
  );
}
