// A new service that begins with what a backup has: its name and size are asked, what it takes is said, and what becomes of it shown.
import { useNavigate } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { bytes } from '../lib/bytes';
import { createCommand } from '../lib/consent';
import { restoredName } from '../lib/restore';
import { randomText } from '../lib/secrets';
import { Button, Facts, Notice, Select, TextInput, Time } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Problem } from '../ui/errors';
import { keepPassword } from './freshPasswords';
import { SealedNotice, usePolicyModes } from './Sealed';
import { REPLICAS, SIZES } from './sizes';
import { State } from './states';

interface Props {
  service: Schemas['Service'];
  backup: Schemas['Backup'];
  onClose: () => void;
}

export function Restore({ service: s, backup: b, onClose }: Props) {
  const { t } = useWords();
  const [made, setMade] = useState<Schemas['Service'] | null>(null);
  return (
    <Dialog title={t('restore.title')} onClose={onClose}>
      {made ? <Progress service={made} onClose={onClose} /> : <Form service={s} backup={b} onClose={onClose} onMade={setMade} />}
    </Dialog>
  );
}

function Form({ service: s, backup: b, onClose, onMade }: Props & { onMade: (made: Schemas['Service']) => void }) {
  const { t, number, locale, word } = useWords();
  const { asking, isSealed } = usePolicyModes();
  const sealed = isSealed(s.byocId);
  // One key for the life of the form, so that a second press makes no second service.
  const repeat = useRef(randomText(32));
  const [name, setName] = useState(restoredName(s.name ?? '', b.startedAt ?? ''));
  const [memory, setMemory] = useState(String(s.minReplicaMemoryGb ?? 8));
  const [replicas, setReplicas] = useState(String(s.numReplicas ?? s.minReplicas ?? 1));
  const [error, setError] = useState('');
  const create = useChange('instanceCreate', (result) => {
    const { service, password } = result as Schemas['ServicePostResponse'];
    if (password) keepPassword(service.id!, password);
    onMade(service as Schemas['Service']);
  });
  const options = (known: number[], chosen: string, label: (n: number) => string) => [...new Set([...known, Number(chosen)])].sort((x, y) => x - y).map((n) => ({ value: String(n), label: label(n) }));
  const networks = (s.ipAccessList ?? []).map((e) => e.source ?? '');
  const cost = s.provider === 'local' ? t('restore.cost.local') : t('restore.cost.cloud', { provider: word('provider', s.provider) });

  function submit() {
    if (sealed || asking) return;
    if (!name.trim()) return setError(t('create.nameNeeded'));
    setError('');
    create.mutate({
      idempotencyKey: repeat.current,
      body: {
        name: name.trim(),
        provider: s.provider!,
        region: s.region!,
        byocId: s.byocId,
        backupId: b.id,
        minReplicaMemoryGb: Number(memory),
        maxReplicaMemoryGb: Number(memory),
        numReplicas: Number(replicas),
        idleScaling: s.idleScaling ?? true,
        releaseChannel: s.releaseChannel ?? 'default',
        ipAccessList: s.ipAccessList ?? [],
      },
    });
  }

  return (
    <form
      className="oh-form"
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        submit();
      }}
    >
      <p>{t('restore.what', { name: s.name ?? '' })}</p>
      <TextInput label={t('restore.name')} error={error || undefined} value={name} onChange={setName} maxLength={50} required autoFocus autoComplete="off" />
      <div className="oh-columns">
        <Select label={t('create.memory')} value={memory} onChange={setMemory} options={options(SIZES, memory, (n) => `${number(n)} GB`)} />
        <Select label={t('create.replicas')} value={replicas} onChange={setReplicas} options={options(REPLICAS, replicas, number)} />
      </div>
      <Facts
        items={[
          [t('backup.started'), <Time value={b.startedAt} />],
          [t('backup.type'), word('backup', b.type)],
          [t('restore.size'), b.sizeInBytes === undefined ? '–' : bytes(b.sizeInBytes, locale)],
          [t('restore.takes'), t('restore.takes.memory', { memory: number(Number(memory) * Number(replicas)), name: s.name ?? '' })],
          [t('restore.cost'), cost],
          [t('service.access'), networks.length ? networks.join(', ') : t('restore.nobody')],
        ]}
      />
      {sealed ? (
        <SealedNotice
          what={t('restore.sealed.what')}
          command={createCommand({ name: name.trim() || t('restore.name'), infrastructure: s.byocId ?? '', networks, memory: Number(memory), replicas: Number(replicas), channel: s.releaseChannel ?? 'default', idle: s.idleScaling ?? true, backup: b.id })}
        />
      ) : (
        <p className="oh-hint">{t('restore.password')}</p>
      )}
      {create.error && <Problem problem={create.error} />}
      <div className="oh-form-actions">
        <Button onClick={onClose}>{t('action.cancel')}</Button>
        {!sealed && (
          <Button submit kind="primary" busy={create.isPending} disabled={asking}>
            {t('restore.act')}
          </Button>
        )}
      </div>
    </form>
  );
}

/** Stays until it is closed; the service's own page has the same and more. */
function Progress({ service, onClose }: { service: Schemas['Service']; onClose: () => void }) {
  const { t } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const query = useApi('instanceGet', { path: { serviceId: service.id! } }, { enabled: can('instanceGet') });
  const now = (query.data as Schemas['Service'] | undefined) ?? service;
  const over = now.state === 'running';
  return (
    <div className="oh-stack">
      <p role="status">
        {t(over ? 'restore.done' : now.state === 'failed' ? 'restore.failed' : 'restore.going', { name: now.name ?? '' })} <State value={now.state ?? ''} />
      </p>
      {now.ownhouse?.error && <Notice state="danger">{now.ownhouse.error}</Notice>}
      <p className="oh-muted">{t('restore.password.there')}</p>
      <div className="oh-form-actions">
        <Button onClick={onClose}>{t('action.close')}</Button>
        <Button kind="primary" onClick={() => void navigate({ to: '/services/$serviceId', params: { serviceId: service.id! }, search: { connect: 1 } } as never)}>
          {t('restore.open', { name: now.name ?? '' })}
        </Button>
      </div>
    </div>
  );
}
