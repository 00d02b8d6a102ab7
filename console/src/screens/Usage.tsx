// What usage has cost, by day.
import { lazy, Suspense, useMemo, useState } from 'react';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useWords } from '../i18n';
import { saveFile, toCsv } from '../lib/csv';
import { Button, Card, Empty, Notice, Skeleton } from '../ui/basics';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { List, type Column } from '../ui/table';

const Chart = lazy(() => import('../ui/Chart').then((m) => ({ default: m.Chart })));

type Record_ = Schemas['UsageCostRecord'];
interface Sum {
  id: string;
  name: string;
  type: string;
  total: number;
}

const day = (offset: number) => new Date(Date.now() - offset * 86400000).toISOString().slice(0, 10);

export function Usage() {
  const { t, word, number } = useWords();
  const [days, setDays] = useState(7);
  const query = useApi('usageCostGet', { query: { from_date: day(days - 1), to_date: day(0) } });
  const records = useMemo(() => ((query.data as Schemas['UsageCost'] | undefined)?.costs ?? []) as Record_[], [query.data]);
  const sums = useMemo(() => {
    const all = new Map<string, Sum>();
    for (const r of records) {
      const sum = all.get(r.entityId!) ?? { id: r.entityId!, name: r.entityName ?? '', type: r.entityType ?? '', total: 0 };
      sum.total += r.totalCHC ?? 0;
      all.set(r.entityId!, sum);
    }
    return [...all.values()];
  }, [records]);
  const byDay = useMemo(() => {
    const all = new Map<string, number>();
    for (const r of records) all.set(r.date!, (all.get(r.date!) ?? 0) + (r.totalCHC ?? 0));
    return [...all].sort();
  }, [records]);
  const columns = useMemo<Column<Sum>[]>(
    () => [
      { key: 'name', title: t('service.name'), width: 'minmax(10rem, 2fr)', value: (s) => s.name, render: (s) => s.name },
      { key: 'type', title: t('usage.type'), value: (s) => word('usage', s.type), render: (s) => word('usage', s.type) },
      { key: 'total', title: t('usage.total'), width: '10rem', value: (s) => s.total, render: (s) => `${number(s.total, { maximumFractionDigits: 4 })} CHC`, end: true },
    ],
    [t, word, number],
  );
  const total = (query.data as Schemas['UsageCost'] | undefined)?.grandTotalCHC ?? 0;
  return (
    <Page
      title={t('nav.usage')}
      lead={t('usage.lead')}
      actions={
        <Button icon="download" disabled={!records.length} onClick={() => saveFile('usage.csv', 'text/csv', toCsv(records.map(({ metrics, ...r }) => ({ ...r, ...metrics }))))}>
          {t('activities.csv')}
        </Button>
      }
    >
      <div className="oh-filters">
        <select className="oh-input oh-select" aria-label={t('activities.period')} value={days} onChange={(e) => setDays(Number(e.target.value))}>
          {[7, 14, 31].map((n) => (
            <option key={n} value={n}>
              {t('activities.days', { n })}
            </option>
          ))}
        </select>
      </div>
      <Loaded query={query}>
        {() =>
          records.length ? (
            <>
              <Card title={t('usage.all', { total: number(total, { maximumFractionDigits: 4 }) })}>
                {total > 0 ? (
                  <Suspense fallback={<Skeleton />}>
                    <Chart label={t('usage.byDay')} days={byDay} unit="CHC" />
                  </Suspense>
                ) : (
                  <Notice>{t('usage.zero')}</Notice>
                )}
              </Card>
              <List label={t('nav.usage')} rows={sums} columns={columns} rowKey={(s) => s.id} sort={{ key: 'total', down: true }} empty={<Empty title={t('usage.none')} />} />
            </>
          ) : (
            <Empty title={t('usage.none')}>{t('usage.none.do')}</Empty>
          )
        }
      </Loaded>
    </Page>
  );
}
