// A plan: what would change and why, approved by its digest, followed resource by resource.
import { Link, useParams } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { approverText } from '../lib/consent';
import { changesOf, noteText, placeNodes, progressOf, showValue, splitResource, type Change, type Step } from '../lib/plan';
import { Badge, Button, Card, Facts, Notice, Time, type BadgeState } from '../ui/basics';
import { Confirm } from '../ui/dialog';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { Plain } from '../ui/table';
import { Tabs } from '../ui/tabs';
import { announce } from '../ui/toast';
import { planSummary } from './Infrastructure';
import { RemovalCard } from './Removal';
import { Count, Digest, DigestWarning, Signatures, SignHere } from './Signing';
import { State } from './states';

type Details = Schemas['PlanDetails'];

/** No last look at what a removal has left takes longer. */
const LAST_LOOK_MS = 15 * 60000;

const colours: Record<string, BadgeState> = { create: 'success', change: 'info', replace: 'warning', destroy: 'danger', none: 'neutral' };

export function Plan() {
  const { t } = useWords();
  const { planId } = useParams({ strict: false }) as { planId: string };
  const query = useApi('planGet', { path: { planId } });
  const plan = query.data as Details | undefined;
  const up = plan ? { to: `/infrastructures/${plan.infrastructureId}`, label: t('infrastructure.title') } : { to: '/infrastructures', label: t('nav.infrastructures') };
  if (plan) return <Detail plan={plan} up={up} />;
  return (
    <Page title={t('plan.title')} up={up}>
      <Loaded query={query}>{() => null}</Loaded>
    </Page>
  );
}

function Detail({ plan, up }: { plan: Details; up: { to: string; label: string } }) {
  const { t, word, number } = useWords();
  const { can } = useSession();
  const [dialog, setDialog] = useState<'' | 'approve' | 'discard'>('');
  const [turn, setTurn] = useState(0);
  const [view, setView] = useState<'tree' | 'picture' | 'log'>('tree');
  const approve = useChange('planApprove', () => {
    setDialog('');
    announce(t('plan.approved'));
  });
  const discard = useChange('planDiscard', () => setDialog(''));
  const sealed = plan.needSignatures > 0;
  const consent = useApi('consentGet', { path: { infrastructureId: plan.infrastructureId } }, { enabled: can('consentGet') && plan.state === 'proposed' });
  // Before a data plane has said whose keys count, there is nobody who could sign.
  const known = !!(consent.data as Schemas['Consent'] | undefined)?.policy;
  const sign = useChange('planApprove', (result) => {
    setTurn(turn + 1);
    announce(t((result as Schemas['Plan']).state === 'proposed' ? 'sign.handedOver' : 'plan.approved'));
  });
  const changes = useMemo(() => changesOf(plan.document as Record<string, unknown>), [plan.document]);
  const progress = useMemo(() => progressOf(plan.steps as Step[]), [plan.steps]);
  const acting = changes.filter((c) => c.action !== 'none').length;
  const done = [...progress.values()].filter((s) => s.phase === 'done').length;
  const notes = ((plan.document as { notes?: unknown[] }).notes ?? []).filter((n): n is string => typeof n === 'string');
  const newer = useApi('planGetList', { query: { infrastructureId: plan.infrastructureId } }, { enabled: plan.state === 'superseded' });
  const latest = (newer.data as Schemas['Plan'][] | undefined)?.find((p) => p.state !== 'superseded');
  return (
    <Page
      title={word('plan.kind', plan.kind)}
      up={up}
      badge={<State value={plan.state} />}
      lead={planSummary(plan.summary, t as never)}
      actions={
        plan.state === 'proposed' &&
        can('planApprove') && (
          <>
            {!sealed && (
              <Button kind="primary" icon="check" onClick={() => setDialog('approve')}>
                {t('plan.approve')}
              </Button>
            )}
            {can('planDiscard') && <Button onClick={() => setDialog('discard')}>{t('plan.discard')}</Button>}
          </>
        )
      }
    >
      {plan.state === 'proposed' && !can('planApprove') && <Notice>{t('home.plan.mayNot')}</Notice>}
      <DigestWarning document={plan.document} said={plan.digest} />
      {plan.deleteData && <Notice state="danger" title={t('plan.deletesData')}>{t('plan.deletesData.what')}</Notice>}
      {plan.state === 'superseded' && (
        <Notice
          state="info"
          title={t('plan.superseded')}
          action={
            latest && (
              <Link to="/plans/$planId" params={{ planId: latest.id } as never}>
                {t('plan.latest')}
              </Link>
            )
          }
        />
      )}
      {plan.error && <Notice state="danger" title={t('plan.failed')}>{plan.error}</Notice>}
      {notes.map((n) => (
        <Notice key={n}>{noteText(n, t as never)}</Notice>
      ))}
      {acting > 0 && plan.state !== 'proposed' && plan.state !== 'discarded' && plan.state !== 'superseded' && (
        <div className="oh-progress">
          <progress max={acting} value={Math.min(done, acting)} aria-label={t('plan.progress')} />
          <span>{t('plan.progress.of', { done: Math.min(done, acting), all: acting })}</span>
        </div>
      )}
      <Card title={t('plan.about')}>
        <Facts
          items={[
            [t('plan.digest'), <Digest document={plan.document} said={plan.digest} />],
            [t('plan.made'), <Time value={plan.createdAt} />],
            plan.approvedAt ? [t('plan.approvedAt'), <Time value={plan.approvedAt} />] : null,
            plan.approvedBy ? [t('plan.approvedBy'), approverText(plan.approvedBy, t as never)] : null,
            plan.finishedAt ? [t('plan.finishedAt'), <Time value={plan.finishedAt} />] : null,
            plan.finishedAt && plan.approvedAt ? [t('plan.took'), `${number((new Date(plan.finishedAt).getTime() - new Date(plan.approvedAt).getTime()) / 1000, { maximumFractionDigits: 1 })} s`] : null,
          ]}
        />
      </Card>
      {plan.kind === 'destroy' && (plan.state === 'applied' || plan.state === 'failed') && can('removalReportGet') && (
        <RemovalCard infrastructureId={plan.infrastructureId} since={plan.createdAt} over={!!plan.finishedAt && Date.now() - new Date(plan.finishedAt).getTime() > LAST_LOOK_MS} />
      )}
      {plan.estimate && <Estimate estimate={plan.estimate} />}
      {(plan.approvals.length > 0 || (sealed && plan.state === 'proposed')) && (
        <Card title={t('sign.signatures')} actions={<Count have={plan.haveSignatures} need={plan.needSignatures} />}>
          {sealed && <p className="oh-muted">{t('plan.sealed')}</p>}
          <Signatures infrastructureId={plan.infrastructureId} approvals={plan.approvals} />
        </Card>
      )}
      <Tabs
        label={t('plan.title')}
        value={view}
        onChange={setView}
        tabs={[
          { value: 'tree', label: t('plan.tree'), panel: () => <Tree changes={changes} progress={progress} /> },
          { value: 'picture', label: t('plan.picture'), panel: () => <Picture changes={changes} progress={progress} /> },
          { value: 'log', label: t('plan.log'), panel: () => <Log steps={plan.steps as (Step & { action: string })[]} /> },
        ]}
      />
      {plan.state === 'proposed' && known && can('planApprove') && (
        <SignHere
          key={turn}
          kind="plan"
          id={plan.id}
          digest={plan.digest}
          document={plan.document}
          approvals={plan.approvals}
          optional={!sealed}
          busy={sign.isPending}
          problem={sign.error}
          onSignature={(approval) => sign.mutate({ path: { planId: plan.id }, body: { digest: plan.digest, approval } })}
        />
      )}
      {dialog === 'approve' && (
        <Confirm
          title={t('plan.approve.title')}
          act={t('plan.approve.act')}
          danger={plan.deleteData}
          busy={approve.isPending}
          problem={approve.error}
          onClose={() => setDialog('')}
          onConfirm={() => approve.mutate({ path: { planId: plan.id }, body: { digest: plan.digest } })}
        >
          <p>{t('plan.approve.what', { summary: planSummary(plan.summary, t as never) })}</p>
          <code className="oh-break">{plan.digest}</code>
        </Confirm>
      )}
      {dialog === 'discard' && (
        <Confirm title={t('plan.discard.title')} act={t('plan.discard')} busy={discard.isPending} problem={discard.error} onClose={() => setDialog('')} onConfirm={() => discard.mutate({ path: { planId: plan.id } })}>
          <p>{t('plan.discard.what')}</p>
        </Confirm>
      )}
    </Page>
  );
}

/** What it costs a month, how long it takes, and as whom the controller goes in. */
function Estimate({ estimate: e }: { estimate: Schemas['PlanEstimate'] }) {
  const { t, word, number, date } = useWords();
  const money = (hundredths: number) => number(hundredths / 100, { style: 'currency', currency: e.cost.currency, currencyDisplay: 'code' });
  const minutes = (seconds: number) => Math.max(1, Math.ceil(seconds / 60));
  const takes = (low: number, high: number) => (low === high ? t('plan.takes.about', { n: high }) : t('plan.takes.range', { low: number(low), high: number(high) }));
  const c = e.cost;
  const free = !c.table && !c.items.length && !c.unknown.length && !c.usage.length;
  return (
    <Card title={t('plan.estimate')}>
      <Facts
        items={[
          [t('plan.cost'), free ? t('plan.cost.free') : c.before === c.after ? t('plan.cost.same', { amount: money(c.after) }) : t('plan.cost.change', { before: money(c.before), after: money(c.after) })],
          e.seconds.high > 0 && [t('plan.takes'), takes(minutes(e.seconds.low), minutes(e.seconds.high))],
        ]}
      />
      {c.notes.map((n) => (
        <p key={n} className="oh-muted">
          {noteText(n, t as never)}
        </p>
      ))}
      {(c.items.length > 0 || c.unknown.length > 0 || c.usage.length > 0) && (
        <details className="oh-more">
          <summary>{t('plan.cost.parts')}</summary>
          <Plain
            label={t('plan.cost.parts')}
            heads={[t('plan.cost.resource'), t('plan.before'), t('plan.after')]}
            rows={[
              ...c.items.map((i) => ({ key: i.resource, cells: [i.resource, money(i.before), money(i.after)] })),
              ...c.unknown.map((u) => ({ key: u.resource, cells: [u.resource, t('plan.cost.unknown', { why: u.why })] })),
              ...c.usage.map((u) => ({ key: u, cells: [u, t('plan.cost.usage')] })),
            ]}
          />
          {c.table && <p className="oh-muted">{t('plan.cost.table', { date: date(c.table.date, { dateStyle: 'medium', timeZone: 'UTC' }), region: c.table.region, source: c.table.source })}</p>}
        </details>
      )}
      {e.actions.length > 0 && (
        <details className="oh-more">
          <summary>{t('plan.rights')}</summary>
          <dl className="oh-stack">
            {e.actions.map((a) => (
              <div key={a.role}>
                <dt>{t('finding.role', { phase: word('phaseOf', a.role) })}</dt>
                <dd>
                  <code className="oh-break">{a.actions.join(' ')}</code>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </Card>
  );
}

function Mark({ step, action }: { step?: Step; action: string }) {
  const { word } = useWords();
  if (step) return <Badge text={word('phase', step.phase)} state={step.phase === 'done' ? 'success' : step.phase === 'failed' ? 'danger' : 'info'} className={`oh-badge ${step.phase === 'begin' ? 'is-moving' : ''}`} />;
  return <Badge text={word('action', action)} state={colours[action] ?? 'neutral'} className="oh-badge" />;
}

function Tree({ changes, progress }: { changes: Change[]; progress: Map<string, Step> }) {
  const { t, list } = useWords();
  return (
    <ul className="oh-tree">
      {changes.map((c) => {
        const { type, name } = splitResource(c.resource);
        const step = progress.get(c.resource);
        const fresh = c.action === 'create';
        return (
          <li key={c.resource}>
            <details open={c.action === 'replace' || c.action === 'destroy' || step?.phase === 'failed'}>
              <summary>
                <Mark step={step} action={c.action} />
                <span className="oh-strong oh-break">{type}</span> <span className="oh-muted">{name}</span>
              </summary>
              <div className="oh-tree-body">
                {step?.phase === 'failed' && <Notice state="danger">{step.detail}</Notice>}
                {c.destroysData && <Notice state="danger">{t('plan.destroysData')}</Notice>}
                {c.dependsOn.length > 0 && (
                  <p className="oh-muted oh-break">
                    {t('plan.dependsOn')} {list(c.dependsOn)}
                  </p>
                )}
                {c.why.length > 0 && (
                  <Plain
                    label={c.resource}
                    heads={[t('plan.attribute'), ...(fresh ? [] : [t('plan.before')]), t('plan.after')]}
                    rows={c.why.map((w) => ({
                      key: w.attribute,
                      cells: [
                        <>
                          {w.attribute}
                          {w.replaces && <span className="oh-replaces"> {t('plan.replaces')}</span>}
                        </>,
                        ...(fresh ? [] : [<code>{showValue(w.before) || '–'}</code>]),
                        <code>{showValue(w.after) || '–'}</code>,
                      ],
                    }))}
                  />
                )}
              </div>
            </details>
          </li>
        );
      })}
      {changes.length === 0 && <li className="oh-muted">{t('plan.count.nothing')}</li>}
    </ul>
  );
}

const W = 190;
const H = 46;
const GAP_X = 60;
const GAP_Y = 18;

function Picture({ changes, progress }: { changes: Change[]; progress: Map<string, Step> }) {
  const { t, word } = useWords();
  const { nodes, columns, rows } = useMemo(() => placeNodes(changes), [changes]);
  if (!changes.length) return <p className="oh-muted">{t('plan.count.nothing')}</p>;
  const at = (x: number, y: number) => ({ x: x * (W + GAP_X) + 4, y: y * (H + GAP_Y) + 4 });
  const width = columns * (W + GAP_X) - GAP_X + 8;
  const height = rows * (H + GAP_Y) - GAP_Y + 8;
  return (
    <div className="oh-scroll" tabIndex={0} role="region" aria-label={t('plan.picture')}>
      <svg className="oh-graph" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={t('plan.picture.what', { n: changes.length })}>
        {[...nodes.values()].flatMap((n) =>
          n.change.dependsOn.flatMap((d) => {
            const from = nodes.get(d);
            if (!from) return [];
            const a = at(from.x, from.y);
            const b = at(n.x, n.y);
            const x1 = a.x + W;
            const y1 = a.y + H / 2;
            const y2 = b.y + H / 2;
            const mid = (x1 + b.x) / 2;
            return [<path key={`${d}>${n.change.resource}`} d={`M${x1} ${y1}C${mid} ${y1} ${mid} ${y2} ${b.x} ${y2}`} />];
          }),
        )}
        {[...nodes.values()].map((n) => {
          const p = at(n.x, n.y);
          const { type, name } = splitResource(n.change.resource);
          const phase = progress.get(n.change.resource)?.phase;
          return (
            <g key={n.change.resource} transform={`translate(${p.x} ${p.y})`} className={`is-${phase ?? n.change.action}`}>
              <title>{`${n.change.resource}: ${phase ? word('phase', phase) : word('action', n.change.action)}`}</title>
              <rect width={W} height={H} rx="6" />
              <text x="12" y="20">
                {type.length > 24 ? type.slice(0, 23) + '…' : type}
              </text>
              <text x="12" y="37" className="is-small">
                {(name.length > 16 ? name.slice(0, 15) + '…' : name) + ' · ' + (phase ? word('phase', phase) : word('action', n.change.action))}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

function Log({ steps }: { steps: (Step & { action: string })[] }) {
  const { t, word } = useWords();
  if (!steps.length) return <p className="oh-muted">{t('plan.log.empty')}</p>;
  return (
    <ol className="oh-log">
      {[...steps].sort((a, b) => Date.parse(a.at) - Date.parse(b.at)).map((s, i) => (
        <li key={i}>
          <Time value={s.at} exact /> <Mark step={s} action={s.action} /> {word('action', s.action)} <code className="oh-break">{s.resource}</code> {s.detail && <span className="oh-muted">{s.detail}</span>}
        </li>
      ))}
    </ol>
  );
}
