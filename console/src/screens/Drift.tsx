// What in the world is no longer as it was made, and what to do about each: take it as it is, put it back, or leave it
// for a while.
import { useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { showValue, splitResource } from '../lib/plan';
import { Badge, Button, Card, Notice, Select, Time, type BadgeState } from '../ui/basics';
import { Confirm } from '../ui/dialog';
import { Loaded, Problem } from '../ui/errors';
import { Plain } from '../ui/table';
import { announce } from '../ui/toast';

type Item = Schemas['Drift'];
type Decision = Schemas['DriftDecision']['decision'];

const colours: Record<Item['state'], BadgeState> = { open: 'warning', accepted: 'success', ignored: 'neutral', reverting: 'info' };
const DAYS = [1, 7, 30, 90];

export function DriftCard({ infrastructure: i }: { infrastructure: Schemas['Infrastructure'] }) {
  const { t } = useWords();
  const { can } = useSession();
  const path = { infrastructureId: i.id };
  const query = useApi('driftGetList', { path });
  const look = useChange('driftCheck', () => announce(t('drift.asked')));
  const list = query.data as Schemas['DriftList'] | undefined;
  const looking = look.isPending || (!!list?.askedAt && (!list.checkedAt || list.checkedAt < list.askedAt));
  return (
    <Card
      title={t('drift.title')}
      actions={
        can('driftCheck') && (
          <Button icon="refresh" busy={looking} onClick={() => look.mutate({ path })}>
            {t('drift.look')}
          </Button>
        )
      }
    >
      {look.error && <Problem problem={look.error} />}
      <Loaded query={query}>
        {(d) => (
          <>
            <p className="oh-muted">
              {d.checkedAt ? (
                <>
                  {t('drift.checked')} <Time value={d.checkedAt} relative />
                </>
              ) : (
                t('drift.never')
              )}
              {' · '}
              {t('drift.every', { n: Math.max(1, Math.round(d.everySeconds / 60)) })}
            </p>
            {d.items.length ? (
              <ul className="oh-tree" aria-label={t('drift.title')}>
                {d.items.map((item) => (
                  <One key={item.id} infrastructure={i.id} item={item} />
                ))}
              </ul>
            ) : (
              <p>{t('drift.none')}</p>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}

function One({ infrastructure, item: d }: { infrastructure: string; item: Item }) {
  const { t, word, date } = useWords();
  const { can } = useSession();
  const [dialog, setDialog] = useState<'' | Decision>('');
  const [days, setDays] = useState('7');
  const decide = useChange('driftDecide', () => setDialog(''));
  const { type, name } = splitResource(d.resource);
  const send = (decision: Decision) =>
    decide.mutate({
      path: { infrastructureId: infrastructure, driftId: d.id },
      body: { decision, digest: d.digest, ...(decision === 'ignore' ? { until: new Date(Date.now() + Number(days) * 86400000).toISOString().replace(/\.\d+Z$/, 'Z') } : {}) },
    });
  const names = (resources: string[]) => resources.map((r) => splitResource(r)).map((r) => `${r.type} ${r.name}`).join(', ');
  return (
    <li>
      <details open={d.state === 'open'}>
        <summary>
          <Badge text={word('drift.state', d.state)} state={colours[d.state]} className={`oh-badge ${d.state === 'reverting' ? 'is-moving' : ''}`} />
          <span className="oh-strong oh-break">{type}</span> <span className="oh-muted">{name}</span> <span>{word('drift.is', d.action)}</span>
        </summary>
        <div className="oh-tree-body">
          <p className="oh-muted">
            {t('drift.seen')} <Time value={d.seenAt} />
            {d.decidedAt && (
              <>
                {' · '}
                {t('drift.decided', { who: d.decidedBy ?? '' })} <Time value={d.decidedAt} />
              </>
            )}
            {d.state === 'ignored' && d.until && ` · ${t('drift.until', { when: date(d.until) })}`}
          </p>
          {d.differences.length > 0 && (
            <Plain
              label={d.resource}
              heads={[t('plan.attribute'), t('drift.now'), t('drift.settled')]}
              rows={d.differences.map((x) => ({ key: x.attribute, cells: [x.attribute, <code>{showValue(x.now) || '–'}</code>, <code>{showValue(x.settled) || '–'}</code>] }))}
            />
          )}
          {d.destroysData && <Notice state="danger">{t('drift.destroysData')}</Notice>}
          {d.needs.length > 0 && <p>{t('drift.needs', { resources: names(d.needs) })}</p>}
          {d.neededBy.length > 0 && <p>{t('drift.neededBy', { resources: names(d.neededBy) })}</p>}
          {decide.error && !dialog && <Problem problem={decide.error} />}
          {can('driftDecide') ? (
            d.state !== 'reverting' && (
              <div className="oh-actions">
                {d.state === 'open' ? (
                  <>
                    <Button onClick={() => setDialog('revert')} disabled={d.destroysData}>
                      {t('drift.revert')}
                    </Button>
                    <Button onClick={() => setDialog('accept')}>{t('drift.accept')}</Button>
                    <Button onClick={() => setDialog('ignore')}>{t('drift.ignore')}</Button>
                  </>
                ) : (
                  <Button busy={decide.isPending} onClick={() => send('reopen')}>
                    {t('drift.reopen')}
                  </Button>
                )}
              </div>
            )
          ) : (
            <p className="oh-muted">{t('drift.mayNot')}</p>
          )}
        </div>
      </details>
      {dialog && (
        <Confirm
          title={t(`drift.${dialog}.title` as never, { resource: `${type} ${name}` } as never)}
          act={t(`drift.${dialog}` as never)}
          busy={decide.isPending}
          problem={decide.error}
          onClose={() => setDialog('')}
          onConfirm={() => send(dialog)}
        >
          <p>{t(`drift.${dialog}.what` as never)}</p>
          {dialog === 'revert' && d.needs.length > 0 && <p>{t('drift.needs', { resources: names(d.needs) })}</p>}
          {dialog === 'accept' && d.neededBy.length > 0 && <p>{t('drift.neededBy', { resources: names(d.neededBy) })}</p>}
          {dialog === 'ignore' && <Select label={t('drift.howLong')} value={days} onChange={setDays} options={DAYS.map((n) => ({ value: String(n), label: t('drift.days', { n }) }))} />}
        </Confirm>
      )}
    </li>
  );
}
