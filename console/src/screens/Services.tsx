// All services, with filters by tag and state.
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button, Empty, Time } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { State } from './states';

type Service = Schemas['Service'];

export function tagText(tag: { key: string; value?: string }): string {
  return tag.value ? `${tag.key}=${tag.value}` : tag.key;
}

export function sizeText(s: Service, number: (n: number) => string): string {
  const low = s.minReplicaMemoryGb ?? s.replicaMemoryGb ?? 0;
  const high = s.maxReplicaMemoryGb ?? s.replicaMemoryGb ?? 0;
  const memory = low === high ? number(high) : `${number(low)}–${number(high)}`;
  const few = s.minReplicas ?? s.numReplicas ?? 1;
  const many = s.maxReplicas ?? s.numReplicas ?? 1;
  return `${few === many ? number(many) : `${number(few)}–${number(many)}`} × ${memory} GB`;
}

export function Services() {
  const { t, word, number } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const query = useApi('instanceGetList');
  const [state, setState] = useState('');
  const [tag, setTag] = useState('');
  const all = query.data as Service[] | undefined;
  const states = useMemo(() => [...new Set(all?.map((s) => s.state ?? ''))].filter(Boolean).sort(), [all]);
  const tags = useMemo(() => [...new Set(all?.flatMap((s) => s.tags?.map(tagText) ?? []))].sort(), [all]);
  const shown = useMemo(
    () => (all ?? []).filter((s) => (!state || s.state === state) && (!tag || s.tags?.some((x) => tagText(x) === tag))),
    [all, state, tag],
  );
  const columns = useMemo<Column<Service>[]>(
    () => [
      {
        key: 'name',
        title: t('service.name'),
        width: 'minmax(10rem, 2fr)',
        value: (s) => s.name,
        render: (s) => (
          <Link to="/services/$serviceId" params={{ serviceId: s.id! } as never} className="oh-strong">
            {s.name}
          </Link>
        ),
      },
      { key: 'state', title: t('service.state'), width: '9rem', value: (s) => word('state', s.state), render: (s) => <State value={s.state ?? ''} /> },
      {
        key: 'place',
        title: t('service.place'),
        value: (s) => `${word('provider', s.provider)} ${s.region}`,
        render: (s) => (s.region === s.provider ? word('provider', s.provider) : `${word('provider', s.provider)} · ${s.region}`),
        minor: true,
      },
      { key: 'size', title: t('service.size'), width: '9rem', value: (s) => (s.maxReplicaMemoryGb ?? 0) * (s.maxReplicas ?? s.numReplicas ?? 1), render: (s) => sizeText(s, number) },
      {
        key: 'tags',
        title: t('service.tags'),
        value: (s) => s.tags?.map(tagText).join(' '),
        render: (s) => (
          <span className="oh-tags">
            {s.tags?.map((x) => (
              <span key={x.key} className="oh-tag">
                {tagText(x)}
              </span>
            ))}
          </span>
        ),
        minor: true,
      },
      { key: 'created', title: t('service.created'), width: '8rem', value: (s) => s.createdAt, render: (s) => <Time value={s.createdAt} relative />, minor: true },
    ],
    [t, word, number],
  );
  const create = can('instanceCreate') && (
    <Button kind="primary" icon="plus" onClick={() => void navigate({ to: '/services/new' as never })}>
      {t('services.create')}
    </Button>
  );
  return (
    <Page title={t('nav.services')} actions={(all?.length ?? 0) > 0 && create}>
      <Loaded query={query} lines={8}>
        {() => (
          <List
            label={t('nav.services')}
            rows={shown}
            columns={columns}
            rowKey={(s) => s.id!}
            sort={{ key: 'name' }}
            tools={
              <>
                <select className="oh-input oh-select" aria-label={t('services.filterState')} value={state} onChange={(e) => setState(e.target.value)}>
                  <option value="">{t('services.anyState')}</option>
                  {states.map((s) => (
                    <option key={s} value={s}>
                      {word('state', s)}
                    </option>
                  ))}
                </select>
                {tags.length > 0 && (
                  <select className="oh-input oh-select" aria-label={t('services.filterTag')} value={tag} onChange={(e) => setTag(e.target.value)}>
                    <option value="">{t('services.anyTag')}</option>
                    {tags.map((x) => (
                      <option key={x}>{x}</option>
                    ))}
                  </select>
                )}
              </>
            }
            empty={
              all?.length ? (
                <Empty
                  title={t('list.nothingFound')}
                  action={
                    <Button
                      onClick={() => {
                        setState('');
                        setTag('');
                      }}
                    >
                      {t('list.clearFilters')}
                    </Button>
                  }
                />
              ) : (
                <Empty title={t('services.empty')} action={create}>
                  {t(can('instanceCreate') ? 'services.empty.do' : 'services.empty.mayNot')}
                </Empty>
              )
            }
          />
        )}
      </Loaded>
    </Page>
  );
}
