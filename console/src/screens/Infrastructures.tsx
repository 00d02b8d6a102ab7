// All infrastructures and the accounts that they are in.
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Button, Card, Empty, IconButton, Time } from '../ui/basics';
import { Confirm } from '../ui/dialog';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { linkOf, roundTrip } from './Home';
import { State } from './states';

type Infrastructure = Schemas['Infrastructure'];
type Account = Schemas['Account'];

export function Infrastructures() {
  const { t, word, number } = useWords();
  const { can } = useSession();
  const navigate = useNavigate();
  const query = useApi('infrastructureGetList');
  const accounts = useApi('accountGetList');
  const [leaving, setLeaving] = useState<Account | null>(null);
  const remove = useChange('accountDelete', () => setLeaving(null));
  const columns = useMemo<Column<Infrastructure>[]>(
    () => [
      {
        key: 'name',
        title: t('infrastructure.name'),
        width: 'minmax(10rem, 2fr)',
        value: (i) => i.displayName,
        render: (i) => (
          <Link to="/infrastructures/$infrastructureId" params={{ infrastructureId: i.id } as never} className="oh-strong">
            {i.displayName}
          </Link>
        ),
      },
      { key: 'state', title: t('service.state'), width: '10rem', value: (i) => word('state', i.state), render: (i) => <State value={i.state} /> },
      { key: 'account', title: t('infrastructure.account'), value: (i) => i.accountName, render: (i) => i.accountName, minor: true },
      { key: 'region', title: t('infrastructure.place'), value: (i) => i.regionId, render: (i) => (i.regionId === i.cloudProvider ? word('provider', i.cloudProvider) : `${word('provider', i.cloudProvider)} · ${i.regionId}`) },
      {
        key: 'link',
        title: t('infrastructure.link'),
        width: '10rem',
        value: (i) => linkOf(i).connected.length,
        render: (i) => (linkOf(i).enrolled.length ? <State value={linkOf(i).connected.length ? 'connected' : 'disconnected'} /> : t('infrastructure.noAgent')),
      },
      {
        key: 'trip',
        title: t('agent.roundTrip'),
        width: '8rem',
        value: (i) => linkOf(i).connected[0]?.roundTripMs,
        render: (i) => roundTrip(linkOf(i).connected[0]?.roundTripMs, number),
        minor: true,
        end: true,
      },
    ],
    [t, word, number],
  );
  const accountColumns = useMemo<Column<Account>[]>(
    () => [
      { key: 'name', title: t('infrastructure.name'), width: 'minmax(10rem, 2fr)', value: (a) => a.name, render: (a) => <strong className="oh-break">{a.name}</strong> },
      { key: 'provider', title: t('service.place'), value: (a) => word('provider', a.provider), render: (a) => word('provider', a.provider) },
      { key: 'since', title: t('accounts.connectedAt'), width: '11rem', value: (a) => a.createdAt, render: (a) => <Time value={a.createdAt} /> },
      ...(can('accountDelete')
        ? [{ key: 'acts', title: '', width: '5rem', end: true, render: (a: Account) => <IconButton icon="trash" label={t('accounts.remove', { name: a.name })} onClick={() => setLeaving(a)} /> }]
        : []),
    ],
    [t, word, can],
  );
  const connect = can('accountCreate') && (
    <Button kind="primary" icon="plus" onClick={() => void navigate({ to: '/connect' as never })}>
      {t('infrastructures.connect')}
    </Button>
  );
  return (
    <Page title={t('nav.infrastructures')} actions={(query.data?.length ?? 0) > 0 && connect}>
      <Loaded query={query}>
        {(list) => (
          <List
            label={t('nav.infrastructures')}
            rows={list as Infrastructure[]}
            columns={columns}
            rowKey={(i) => i.id}
            sort={{ key: 'name' }}
            empty={
              <Empty title={t('infrastructures.empty')} action={connect}>
                {t('infrastructures.empty.do')}
              </Empty>
            }
          />
        )}
      </Loaded>
      <Card title={t('accounts.title')}>
        <Loaded query={accounts}>
          {(list) => (
            <List
              label={t('accounts.title')}
              rows={list as Account[]}
              columns={accountColumns}
              rowKey={(a) => a.id}
              sort={{ key: 'name' }}
              empty={
                <Empty title={t('accounts.empty')}>
                  {t('accounts.empty.do')}
                </Empty>
              }
            />
          )}
        </Loaded>
      </Card>
      {leaving && (
        <Confirm
          title={t('accounts.remove', { name: leaving.name })}
          act={t('accounts.remove.act')}
          typed={leaving.name}
          danger
          busy={remove.isPending}
          problem={remove.error}
          onClose={() => setLeaving(null)}
          onConfirm={() => remove.mutate({ path: { accountId: leaving.id } })}
        >
          <p>{t('accounts.remove.what')}</p>
        </Confirm>
      )}
    </Page>
  );
}
