// When backups are made, and which there are.
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { bytes } from '../lib/bytes';
import { Button, Card, Empty, Facts, Select, TextInput, Time } from '../ui/basics';
import { Loaded, Problem } from '../ui/errors';
import { List, type Column } from '../ui/table';
import { announce } from '../ui/toast';
import { BackupBucket } from './BackupBucket';
import { Restore } from './Restore';
import { State } from './states';

type Configuration = Schemas['BackupConfiguration'];
type Backup = Schemas['Backup'];

export function ServiceBackups({ service: s }: { service: Schemas['Service'] }) {
  const { t, locale, word, number } = useWords();
  const { can } = useSession();
  const configuration = useApi('backupConfigurationGet', { path: { serviceId: s.id! } });
  const backups = useApi('backupGetList', { path: { serviceId: s.id! } });
  const [restored, setRestored] = useState<Backup | null>(null);
  const ask = useChange('backupCreate', () => announce(t('backup.asked')));
  const mayCreate = can('instanceCreate');
  const columns = useMemo<Column<Backup>[]>(
    () => [
      { key: 'started', title: t('backup.started'), value: (b) => b.startedAt, render: (b) => <Time value={b.startedAt} /> },
      { key: 'status', title: t('service.state'), width: '8rem', value: (b) => word('state', b.status), render: (b) => <Outcome backup={b} /> },
      { key: 'type', title: t('backup.type'), value: (b) => b.type, render: (b) => word('backup', b.type), minor: true },
      { key: 'size', title: t('backup.size'), width: '6rem', value: (b) => b.sizeInBytes, render: (b) => (b.sizeInBytes === undefined ? '–' : bytes(b.sizeInBytes, locale)), end: true },
      { key: 'took', title: t('backup.took'), width: '5rem', value: (b) => b.durationInSeconds, render: (b) => (b.durationInSeconds === undefined ? '–' : `${number(b.durationInSeconds)} s`), minor: true, end: true },
      { key: 'drill', title: t('backup.drill'), value: (b) => b.ownhouse?.drill, render: (b) => (b.ownhouse?.drill ? word('drill', b.ownhouse.drill) : '–'), minor: true },
      ...(mayCreate
        ? [{ key: 'act', title: '', width: '8rem', render: (b: Backup) => b.status === 'done' && <Button onClick={() => setRestored(b)}>{t('restore.open.act')}</Button> }]
        : []),
    ],
    [t, locale, word, number, mayCreate],
  );
  return (
    <div className="oh-stack">
      <Card title={t('backup.when')}>
        <Loaded query={configuration}>{(c) => <Form key={JSON.stringify(c)} service={s} saved={c as Configuration} />}</Loaded>
      </Card>
      {can('backupBucketGet') && <BackupBucket service={s} />}
      <Card
        title={t('service.backups')}
        actions={
          can('backupCreate') && (
            <Button busy={ask.isPending} onClick={() => ask.mutate({ path: { serviceId: s.id! } })}>
              {t('backup.now')}
            </Button>
          )
        }
      >
        {ask.error && <Problem problem={ask.error} />}
        <Loaded query={backups}>
          {(list) => <List label={t('service.backups')} rows={list as Backup[]} columns={columns} rowKey={(b) => b.id!} sort={{ key: 'started', down: true }} empty={<Empty title={t('backup.empty')}>{t('backup.empty.do')}</Empty>} />}
        </Loaded>
      </Card>
      {restored && <Restore service={s} backup={restored} onClose={() => setRestored(null)} />}
    </div>
  );
}

/** How it went and, where it went wrong, why. */
function Outcome({ backup: b }: { backup: Backup }) {
  return (
    <>
      <State value={b.status ?? ''} />
      {b.ownhouse?.error && <div className="oh-hint">{b.ownhouse.error}</div>}
    </>
  );
}

function Form({ service: s, saved }: { service: Schemas['Service']; saved: Configuration }) {
  const { t } = useWords();
  const { can } = useSession();
  const was = { period: String(saved.backupPeriodInHours ?? 24), kept: String(saved.backupRetentionPeriodInHours ?? 24), start: saved.backupStartTime ?? '' };
  const [period, setPeriod] = useState(was.period);
  const [kept, setKept] = useState(was.kept);
  const [start, setStart] = useState(was.start);
  const changed = period !== was.period || kept !== was.kept || start !== was.start;
  const change = useChange('backupConfigurationUpdate', () => announce(t('form.saved')));
  if (!can('backupConfigurationUpdate'))
    return (
      <Facts
        items={[
          [t('backup.period'), t('backup.hours', { n: saved.backupPeriodInHours ?? 24 })],
          [t('backup.retention'), t('backup.hours', { n: saved.backupRetentionPeriodInHours ?? 24 })],
          saved.backupStartTime ? [t('backup.start'), `${saved.backupStartTime} UTC`] : null,
        ]}
      />
    );
  const periods = [...new Set([6, 8, 12, 24, 48, 168, Number(period)])].sort((a, b) => a - b);
  const keeps = [...new Set([24, 48, 72, 168, 336, 720, Number(kept)])].sort((a, b) => a - b);
  return (
    <form
      className="oh-form"
      onSubmit={(e) => {
        e.preventDefault();
        change.mutate({
          path: { serviceId: s.id! },
          body: { backupRetentionPeriodInHours: Number(kept), backupStartTime: start || null, ...(start ? { backupPeriodInHours: null } : { backupPeriodInHours: Number(period) }) },
        });
      }}
    >
      <div className="oh-columns">
        <Select label={t('backup.period')} hint={start ? t('backup.period.daily') : undefined} disabled={!!start} value={start ? '24' : period} onChange={setPeriod} options={periods.map((n) => ({ value: String(n), label: t('backup.hours', { n }) }))} />
        <Select label={t('backup.retention')} value={kept} onChange={setKept} options={keeps.map((n) => ({ value: String(n), label: t('backup.days', { n: n / 24 }) }))} />
        <TextInput label={t('backup.start')} hint="UTC" type="time" optional value={start} onChange={setStart} />
      </div>
      {change.error && <Problem problem={change.error} />}
      <div className="oh-form-actions">
        <Button submit kind="primary" busy={change.isPending} disabled={!changed}>
          {t('form.save')}
        </Button>
      </div>
    </form>
  );
}
