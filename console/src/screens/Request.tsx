// One request to a data plane: its exact effect, who has signed, and where a signature comes in.
import { Link, useParams } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { readRequest, showJson, whyText, type RequestView } from '../lib/consent';
import { Card, Facts, Notice, Time } from '../ui/basics';
import { Copyable } from '../ui/code';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { Plain } from '../ui/table';
import { announce } from '../ui/toast';
import { stateOf, useInfrastructureNames } from './Requests';
import { Count, Digest, DigestWarning, Signatures, SignHere } from './Signing';
import { State } from './states';

type Details = Schemas['ConsentRequestDetails'];

export function Request() {
  const { t } = useWords();
  const { requestId } = useParams({ strict: false }) as { requestId: string };
  const query = useApi('requestGet', { path: { requestId } });
  const up = { to: '/requests', label: t('nav.requests') };
  if (query.data) return <Detail request={query.data as Details} up={up} />;
  return (
    <Page title={t('request.title')} up={up}>
      <Loaded query={query}>{() => null}</Loaded>
    </Page>
  );
}

function Detail({ request: r, up }: { request: Details; up: { to: string; label: string } }) {
  const { t, word, list, sentences } = useWords();
  const { can } = useSession();
  const [turn, setTurn] = useState(0);
  const names = useInfrastructureNames();
  const view = useMemo(() => readRequest(r.document), [r.document]);
  const state = stateOf(r);
  const need = r.needCustomer + r.needVendor;
  const have = r.haveCustomer + r.haveVendor;
  const approve = useChange('requestApprove', () => {
    setTurn(turn + 1);
    announce(t('sign.handedOver'));
  });
  const access = view.operations.some((o) => o.startsWith('access.'));
  return (
    <Page title={list(view.operations.map((o) => word('operation', o)))} up={up} badge={<State value={state} />} lead={view.reason}>
      <DigestWarning document={r.document} said={r.digest} />
      {r.why && <Notice state={state === 'refused' || state === 'failed' ? 'danger' : 'info'} title={t('request.why')}>{whyText(r.why, t as never)}</Notice>}
      <Effect view={view} />
      <Card title={t('request.about')}>
        <Facts
          items={[
            [t('plan.digest'), <Digest document={r.document} said={r.digest} />],
            [t('infrastructure.title'), names.get(r.infrastructureId) ?? r.infrastructureId],
            [t('request.by'), r.origin === 'agent' ? t('request.byAgent') : view.by],
            view.ticket ? [t('request.ticket'), view.ticket] : null,
            [t('request.asked'), <Time value={r.createdAt} />],
            state === 'waiting' || state === 'expired' ? [t('request.until'), <Time value={r.notAfter} />] : null,
            view.state ? [t('request.from'), <code>{`${view.state.slice(0, 16)}…`}</code>] : null,
            [t('request.id'), <Copyable text={r.id} />],
            access ? [t('grant.title'), <Link to={`/access/${r.id}` as never}>{t('request.toAccess')}</Link>] : null,
          ]}
        />
      </Card>
      <Card title={t('sign.signatures')} actions={<Count have={have} need={need} />}>
        {need > 0 && (
          <p className="oh-muted">
            {sentences(t('sign.countWhat', { have: r.haveCustomer, need: r.needCustomer }), r.needVendor > 0 ? t('sign.countVendor', { have: r.haveVendor, need: r.needVendor }) : '')}
          </p>
        )}
        {(need > 0 || r.approvals.length > 0) && <Signatures infrastructureId={r.infrastructureId} approvals={r.approvals} />}
      </Card>
      {state === 'waiting' && can('requestApprove') && (
        <SignHere
          key={turn}
          kind="request"
          id={r.id}
          digest={r.digest}
          document={r.document}
          approvals={r.approvals}
          busy={approve.isPending}
          problem={approve.error}
          onSignature={(approval) => approve.mutate({ path: { requestId: r.id }, body: { approval } })}
        />
      )}
      {state === 'waiting' && !can('requestApprove') && <Notice>{t('requests.mayNot')}</Notice>}
      {state === 'expired' && <Notice state="warning">{t('request.expired')}</Notice>}
    </Page>
  );
}

/** The whole effect in words: nothing that is signed is left out. */
function Effect({ view: v }: { view: RequestView }) {
  const { t, word } = useWords();
  const { can } = useSession();
  const list = useApi('instanceGetList', {}, { enabled: can('instanceGetList') && (!!v.service || v.services.length > 0) });
  const nameOf = (id: string) => (list.data as Schemas['Service'][] | undefined)?.find((s) => s.id === id)?.name ?? id;
  const link = (id: string) => (
    <Link key={id} to={`/services/${id}` as never} className="oh-break">
      {nameOf(id)}
    </Link>
  );
  return (
    <Card title={t('request.effect')}>
      <ul className="oh-effects">
        {v.operations.map((o) => (
          <li key={o}>
            <span className="oh-strong">{word('effect', o)}</span>{' '}
            <code className="oh-muted">{o}</code>
          </li>
        ))}
      </ul>
      <Facts
        items={[
          v.service ? [t('service.title'), link(v.service)] : null,
          v.operations.some((o) => o.startsWith('access.')) ? [t('grant.services'), v.services.length ? <span className="oh-list-inline">{v.services.map(link)}</span> : t('grant.allServices')] : null,
          v.minutes ? [t('grant.minutes'), t('grant.minutes.n', { n: v.minutes })] : null,
          v.deviceKey ? [t('grant.device'), <code>{v.deviceKey}</code>] : null,
          v.gate ? [t('grant.gate'), <code>{v.gate}</code>] : null,
          v.preapproval ? [t('request.preapproval'), <code>{v.preapproval}</code>] : null,
          ...v.other.map(([name, value]) => [name, <code>{value}</code>] as [string, React.ReactNode]),
        ]}
      />
      {v.policy && (
        <>
          <p>{t('request.policy')}</p>
          <pre className="oh-pre" tabIndex={0} role="region" aria-label={t('request.policy')}>
            {showJson(v.policy)}
          </pre>
        </>
      )}
      {v.changes.length > 0 && (
        <Plain
          label={t('request.changes')}
          heads={[t('request.field'), t('plan.before'), t('plan.after')]}
          rows={v.changes.map((c, i) => ({
            key: String(i),
            cells: [
              <>
                <span className="oh-break">{c.path}</span>
                <span className="oh-block oh-muted">{word('class', c.class)}</span>
              </>,
              <code>{showJson(c.before) || '–'}</code>,
              <code>{showJson(c.after) || '–'}</code>,
            ],
          }))}
        />
      )}
    </Card>
  );
}
