// The report with which a removal ends: what is gone, what is not and why, and what that costs.
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useWords } from '../i18n';
import { splitResource } from '../lib/plan';
import { leftOf, reasonOf } from '../lib/removal';
import { Badge, Card, Notice, Time, type BadgeState } from '../ui/basics';
import { Problem } from '../ui/errors';
import { Plain } from '../ui/table';

type Report = Schemas['RemovalReport'];
type Item = Report['items'][number];

const colours: Record<Item['state'], BadgeState> = { gone: 'success', there: 'warning', unknown: 'danger' };
const ASK_AGAIN_MS = 3000;

/** `since`: when the removal was asked for; a report that is older belongs to an earlier one. `over`: none will come. */
export function RemovalCard({ infrastructureId, since, over }: { infrastructureId: string; since: string; over: boolean }) {
  const { t } = useWords();
  const fresh = (r: Report | undefined) => !!r && new Date(r.madeAt) >= new Date(since);
  // It comes a moment after the plan's end, as the last look is taken then.
  const query = useApi('removalReportGet', { path: { infrastructureId } }, { again: (data) => (over || fresh(data) ? false : ASK_AGAIN_MS) });
  const report = query.data as Report | undefined;
  return (
    <Card title={t('removal.title')}>
      {fresh(report) ? (
        <Found report={report!} />
      ) : query.error && query.error.status !== 404 ? (
        <Problem problem={query.error} retry={() => query.refetch()} />
      ) : (
        <p role="status">{t(over && !query.isPending ? 'removal.none' : 'removal.pending')}</p>
      )}
    </Card>
  );
}

function Found({ report: r }: { report: Report }) {
  const { t, number } = useWords();
  const money = (cents: number) => number(cents / 100, { style: 'currency', currency: 'USD', currencyDisplay: 'code' });
  const { gone, left, monthly, unpriced } = leftOf(r.items);
  return (
    <>
      <Notice
        state={r.complete ? 'success' : 'warning'}
        title={r.complete ? t(r.items.length ? 'removal.complete' : 'removal.nothing', { n: r.items.length }) : t('removal.partial', { gone: gone.length, all: r.items.length })}
      >
        {t('removal.seen')} <Time value={r.madeAt} />
      </Notice>
      {left.length > 0 && (
        <>
          <Table label={t('removal.left')} items={left} money={money} />
          <p>
            {t('removal.sum', { amount: money(monthly) })}
            {unpriced > 0 && ` ${t('removal.unpriced', { n: unpriced })}`}
          </p>
        </>
      )}
      {r.tagged.length > 0 && (
        <>
          <p>{t('removal.tagged')}</p>
          <ul className="oh-lines">
            {r.tagged.map((one) => (
              <li key={one.arn}>
                <span>
                  <code className="oh-break">{one.arn}</code> <Reason why={one.why} />
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      {r.notes.map((n) => (
        <Notice key={n} state="warning">
          <Reason why={n} />
        </Notice>
      ))}
      {gone.length > 0 && (
        <details className="oh-more">
          <summary>{t('removal.gone', { n: gone.length })}</summary>
          <Table label={t('removal.gone', { n: gone.length })} items={gone} />
        </details>
      )}
    </>
  );
}

function Reason({ why }: { why: string }) {
  const { t } = useWords();
  const { key, values, text } = reasonOf(why);
  return <span>{key ? t(key as never, values as never) : text}</span>;
}

/** With `money` what each costs, else when each was removed. */
function Table({ label, items, money }: { label: string; items: Item[]; money?: (cents: number) => string }) {
  const { t, word } = useWords();
  return (
    <Plain
      label={label}
      heads={[t('plan.cost.resource'), t('service.state'), t('removal.why'), t(money ? 'plan.cost' : 'removal.removedAt')]}
      rows={items.map((item, i) => {
        const { type, name } = splitResource(item.resource);
        return {
          key: String(i),
          cells: [
            <>
              {type} <span className="oh-muted">{name}</span>
              {item.identity && <code className="oh-block oh-break">{item.identity}</code>}
            </>,
            <Badge text={word('removal.state', item.state)} state={colours[item.state]} className="oh-badge" />,
            <Reason why={item.why} />,
            !money ? <Time value={item.removedAt} /> : item.monthly === null ? t('removal.byUse') : money(item.monthly),
          ],
        };
      })}
    />
  );
}
