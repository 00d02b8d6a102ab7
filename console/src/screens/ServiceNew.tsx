// Asks for a service.
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useRef, useState, type FormEvent } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import type { Entry, Tag } from '../lib/patches';
import { createCommand } from '../lib/consent';
import { randomText } from '../lib/secrets';
import { Button, Card, Choice, Empty, Select, TextInput, Check } from '../ui/basics';
import { Loaded, Problem } from '../ui/errors';
import { Page } from '../ui/page';
import { AccessEditor, useOwnAddress } from './AccessList';
import { keepPassword } from './freshPasswords';
import { SealedNotice, usePolicyModes } from './Sealed';
import { REPLICAS, SIZES } from './sizes';
import { TagEditor } from './Tags';

type Infrastructure = Schemas['Infrastructure'];

export function ServiceNew() {
  const { t } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const may = can('instanceCreate');
  const infrastructures = useApi('infrastructureGetList', {}, { enabled: may && can('infrastructureGetList') });
  const organization = useApi('organizationGet', {}, { enabled: may && !can('infrastructureGetList') });
  const back = { to: '/services', label: t('nav.services') };
  if (!may)
    return (
      <Page title={t('services.create')} up={back}>
        <Empty title={t('error.forbidden')}>{t('error.forbidden.do')}</Empty>
      </Page>
    );
  const query = can('infrastructureGetList') ? infrastructures : organization;
  return (
    <Page title={t('services.create')} up={back}>
      <Loaded query={query as typeof infrastructures}>
        {(data) => {
          const list = can('infrastructureGetList') ? (data as Infrastructure[]) : (((data as unknown as Schemas['Organization']).byocConfig ?? []) as unknown as Infrastructure[]);
          const ready = list.filter((i) => i.state === 'infra-ready');
          return ready.length ? (
            <Form ready={ready} />
          ) : (
            <Empty
              title={t('create.noInfrastructure')}
              action={
                can('accountCreate') && (
                  <Button kind="primary" onClick={() => void navigate({ to: '/connect' as never })}>
                    {t('infrastructures.connect')}
                  </Button>
                )
              }
            >
              {t('create.noInfrastructure.do')}
            </Empty>
          );
        }}
      </Loaded>
    </Page>
  );
}

function Form({ ready }: { ready: Infrastructure[] }) {
  const { t, word, number } = useWords();
  const navigate = useNavigate();
  const own = useOwnAddress();
  // One key for the life of the form: a second press, or a repeat after a lost answer, makes no second service.
  const repeat = useRef(randomText(32));
  const [name, setName] = useState('');
  const [place, setPlace] = useState(ready[0]!.id);
  const [memory, setMemory] = useState('8');
  const [replicas, setReplicas] = useState('1');
  const [access, setAccess] = useState<'mine' | 'anywhere' | 'list'>('anywhere');
  const [entries, setEntries] = useState<Entry[]>([]);
  const [channel, setChannel] = useState('default');
  const [idle, setIdle] = useState(true);
  const [tags, setTags] = useState<Tag[]>([]);
  const [error, setError] = useState('');
  const create = useChange('instanceCreate', (result) => {
    const made = result as Schemas['ServicePostResponse'];
    if (made.password) keepPassword(made.service.id!, made.password);
    void navigate({ to: '/services/$serviceId', params: { serviceId: made.service.id! }, search: { connect: made.password ? 1 : undefined } } as never);
  });
  const { asking, isSealed } = usePolicyModes();
  const where = useMemo(() => ready.find((i) => i.id === place) ?? ready[0]!, [ready, place]);

  const sealed = isSealed(where.id);
  const list: Entry[] = access === 'list' ? entries : access === 'mine' && own ? [{ source: own, description: t('access.mine') }] : [{ source: '0.0.0.0/0', description: t('access.anywhere') }];

  function submit(e: FormEvent) {
    e.preventDefault();
    if (sealed || asking) return;
    if (!name.trim()) {
      setError(t('create.nameNeeded'));
      return;
    }
    setError('');
    create.mutate({
      idempotencyKey: repeat.current,
      body: {
        name: name.trim(),
        provider: where.cloudProvider,
        region: where.regionId,
        byocId: where.id,
        minReplicaMemoryGb: Number(memory),
        maxReplicaMemoryGb: Number(memory),
        numReplicas: Number(replicas),
        idleScaling: idle,
        releaseChannel: channel as 'default',
        ipAccessList: list,
        ...(tags.length ? { tags } : {}),
      },
    });
  }

  return (
    <form className="oh-form is-page" onSubmit={submit} noValidate>
      <Card title={t('create.what')}>
        <TextInput label={t('service.name')} hint={t('create.name.hint')} error={error || undefined} value={name} onChange={setName} maxLength={50} required autoFocus autoComplete="off" />
        {ready.length > 1 ? (
          <Select
            label={t('create.infrastructure')}
            value={place}
            onChange={setPlace}
            options={ready.map((i) => ({ value: i.id, label: `${i.displayName} – ${word('provider', i.cloudProvider)} ${i.regionId === i.cloudProvider ? '' : i.regionId}` }))}
          />
        ) : (
          <p className="oh-muted">
            {t('create.in')}{' '}
            <Link to="/infrastructures/$infrastructureId" params={{ infrastructureId: where.id } as never}>
              {where.displayName}
            </Link>
          </p>
        )}
        <div className="oh-columns">
          <Select label={t('create.memory')} value={memory} onChange={setMemory} options={SIZES.map((n) => ({ value: String(n), label: `${number(n)} GB` }))} />
          <Select label={t('create.replicas')} value={replicas} onChange={setReplicas} options={REPLICAS.map((n) => ({ value: String(n), label: number(n) }))} />
        </div>
        <Check label={t('create.idle')} hint={t('create.idle.hint', { n: 15 })} checked={idle} onChange={setIdle} />
      </Card>
      <Card title={t('create.who')}>
        <Choice
          label={t('create.access')}
          value={access}
          onChange={setAccess}
          options={[
            { value: 'anywhere', label: t('create.access.anywhere'), hint: t('create.access.anywhere.hint') },
            ...(own ? [{ value: 'mine' as const, label: t('create.access.mine', { address: own }) }] : []),
            { value: 'list', label: t('create.access.list') },
          ]}
        />
        {access === 'list' && <AccessEditor entries={entries} onChange={setEntries} />}
      </Card>
      <details className="oh-card">
        <summary>{t('create.more')}</summary>
        <div className="oh-form">
          <Select label={t('service.channel')} hint={t('service.channel.hint')} value={channel} onChange={setChannel} options={['slow', 'default', 'fast'].map((c) => ({ value: c, label: word('channel', c) }))} />
          {sealed ? <p className="oh-hint">{t('sealed.create.tags')}</p> : <TagEditor tags={tags} onChange={setTags} />}
        </div>
      </details>
      {sealed && (
        <Card title={t('sealed.create')}>
          {!name.trim() ? (
            <p className="oh-muted">{t('sealed.create.name')}</p>
          ) : !list.length ? (
            <p className="oh-muted">{t('sealed.create.list')}</p>
          ) : (
            <SealedNotice
              what={t('sealed.create.what')}
              command={createCommand({ name: name.trim(), infrastructure: where.id, networks: list.map((e) => e.source ?? ''), memory: Number(memory), replicas: Number(replicas), channel, idle })}
            />
          )}
        </Card>
      )}
      {create.error && <Problem problem={create.error} />}
      <div className="oh-form-actions">
        <Button onClick={() => void navigate({ to: '/services' as never })}>{t('action.cancel')}</Button>
        {!sealed && (
          <Button submit kind="primary" busy={create.isPending} disabled={asking}>
            {t('services.create')}
          </Button>
        )}
      </div>
    </form>
  );
}
