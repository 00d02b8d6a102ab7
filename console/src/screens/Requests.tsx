// What waits for a signature or an approval, and what became of the rest.
import { Link } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { readRequest } from '../lib/consent';
import { Empty, Notice, Select, Time } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';
import { planSummary } from './Infrastructure';
import { Count } from './Signing';
import { State } from './states';

type Request = Schemas['ConsentRequest'];
type Plan = Schemas['Plan'];

interface Row {
  id: string;
  to: string;
  what: string;
  detail: string;
  infrastructureId: string;
  state: string;
  need: number;
  have: number;
  by: string;
  createdAt: string;
  until: string | null;
}

/** A request that ran out of time while it waited is no longer for anybody to sign. */
export function stateOf(r: Pick<Request, 'state' | 'notAfter'>, now = Date.now()): string {
  return r.state === 'waiting' && new Date(r.notAfter).getTime() <= now ? 'expired' : r.state;
}

export function useInfrastructureNames(): Map<string, string> {
  const { can } = useSession();
  const query = useApi('infrastructureGetList', {}, { enabled: can('infrastructureGetList') });
  return useMemo(() => new Map(((query.data ?? []) as Schemas['Infrastructure'][]).map((i) => [i.id, i.displayName])), [query.data]);
}

export function Requests() {
  const { t, word, list } = useWords();
  const { can } = useSession();
  const [which, setWhich] = useState<'waiting' | 'all'>('waiting');
  const requests = useApi('requestGetList');
  const plans = useApi('planGetList', { query: { state: 'proposed' } }, { enabled: can('planGetList') });
  const names = useInfrastructureNames();
  const rows = useMemo<Row[]>(() => {
    const fromPlans = ((plans.data ?? []) as Plan[]).map((p) => ({
      id: p.id,
      to: `/plans/${p.id}`,
      what: `${t('plan.title')}: ${word('plan.kind', p.kind)}`,
      detail: planSummary(p.summary, t as never),
      infrastructureId: p.infrastructureId,
      state: p.state as string,
      need: 1,
      have: 0,
      by: '',
      createdAt: p.createdAt,
      until: null,
    }));
    const fromRequests = ((requests.data ?? []) as Request[]).map((r) => {
      const v = readRequest(r.document);
      return {
        id: r.id,
        to: `/requests/${r.id}`,
        what: list(r.operations.map((o) => word('operation', o))),
        detail: v.reason,
        infrastructureId: r.infrastructureId,
        state: stateOf(r),
        need: r.needCustomer + r.needVendor,
        have: r.haveCustomer + r.haveVendor,
        by: r.origin === 'agent' ? t('request.byAgent') : v.by,
        createdAt: r.createdAt,
        until: r.notAfter as string | null,
      };
    });
    return [...fromPlans, ...fromRequests];
  }, [plans.data, requests.data, t, word, list]);
  const shown = which === 'all' ? rows : rows.filter((r) => r.state === 'waiting' || r.state === 'proposed');
  const columns = useMemo<Column<Row>[]>(
    () => [
      {
        key: 'what',
        title: t('request.what'),
        width: 'minmax(12rem, 3fr)',
        value: (r) => `${r.what} ${r.detail}`,
        render: (r) => (
          <span className="oh-block">
            <Link to={r.to as never} className="oh-strong oh-break">
              {r.what}
            </Link>
            <span className="oh-block oh-muted oh-break">{r.detail}</span>
          </span>
        ),
      },
      { key: 'where', title: t('infrastructure.title'), width: 'minmax(6rem, 1fr)', value: (r) => names.get(r.infrastructureId), render: (r) => names.get(r.infrastructureId) ?? '–' },
      { key: 'state', title: t('service.state'), width: '9rem', value: (r) => word('state', r.state), render: (r) => <State value={r.state} /> },
      { key: 'signed', title: t('sign.signatures'), width: '7rem', value: (r) => r.need - r.have, render: (r) => (r.until ? <Count have={r.have} need={r.need} /> : t('request.planCount')) },
      { key: 'by', title: t('request.by'), width: 'minmax(6rem, 1fr)', value: (r) => r.by, render: (r) => r.by || '–', minor: true },
      { key: 'until', title: t('request.until'), width: '9rem', value: (r) => r.until ?? '', render: (r) => <Time value={r.until} relative />, minor: true },
    ],
    [t, word, names],
  );
  return (
    <Page title={t('nav.requests')} lead={t('requests.lead')}>
      {!can('requestApprove') && <Notice>{t('requests.mayNot')}</Notice>}
      <Loaded query={requests}>
        {() => (
          <>
            <div className="oh-list-filter">
              <Select
                label={t('requests.show')}
                value={which}
                onChange={(v) => setWhich(v as typeof which)}
                options={[
                  { value: 'waiting', label: t('requests.waiting') },
                  { value: 'all', label: t('requests.all') },
                ]}
              />
            </div>
            <List
              key={which}
              label={t('nav.requests')}
              rows={shown}
              columns={columns}
              rowKey={(r) => r.id}
              empty={
                <Empty title={t(which === 'all' ? 'requests.none' : 'requests.nothing')}>
                  {t('requests.none.do')} <code>{'ownhouse request'}</code>, <code>{'ownhouse access request'}</code>
                </Empty>
              }
            />
          </>
        )}
      </Loaded>
    </Page>
  );
}
