// One engineer's access: how it stands, the lines that use it, and its end.
import { Link, useParams } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { useApi, useChange } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { commandLine, readRequest } from '../lib/consent';
import { Button, Card, Facts, Notice, Time } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Confirm } from '../ui/dialog';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { announce } from '../ui/toast';
import { grantState, isLive } from './Access';
import { useInfrastructureNames } from './Requests';
import { Count, Signatures } from './Signing';
import { State } from './states';

type Details = Schemas['AccessGrantDetails'];

export function Grant() {
  const { t } = useWords();
  const { grantId } = useParams({ strict: false }) as { grantId: string };
  const query = useApi('accessGrantGet', { path: { grantId } });
  const up = { to: '/access', label: t('nav.access') };
  if (query.data) return <Detail grant={query.data as Details} up={up} />;
  return (
    <Page title={t('grant.title')} up={up}>
      <Loaded query={query}>{() => null}</Loaded>
    </Page>
  );
}

function Detail({ grant: g, up }: { grant: Details; up: { to: string; label: string } }) {
  const { t, word, list } = useWords();
  const { can } = useSession();
  const [dialog, setDialog] = useState(false);
  const names = useInfrastructureNames();
  const request = useApi('requestGet', { path: { requestId: g.id } }, { enabled: can('requestGet') });
  const r = request.data as Schemas['ConsentRequestDetails'] | undefined;
  const view = useMemo(() => readRequest(g.request), [g.request]);
  const state = grantState(g, r);
  const live = isLive(state);
  const sql = view.operations.some((o) => o.startsWith('access.clickhouse.'));
  const revoke = useChange('accessGrantRevoke', () => {
    setDialog(false);
    announce(t('grant.revoked'));
  });
  return (
    <Page
      title={list(view.operations.map((o) => word('operation', o)))}
      up={up}
      badge={<State value={state} />}
      lead={view.reason}
      actions={
        <>
          {state === 'waiting' && (
            <Link to={`/requests/${g.id}` as never} className="oh-button-link">
              {t('grant.toSign')}
            </Link>
          )}
          {live && state !== 'revoked' && can('accessGrantRevoke') && <Button onClick={() => setDialog(true)}>{t('grant.revoke')}</Button>}
        </>
      }
    >
      {state === 'waiting' && <Notice state="warning" title={t('grant.waits')}>{t('grant.waits.what')}</Notice>}
      {state === 'revoked' && <Notice>{t('grant.revoking')}</Notice>}
      {(state === 'refused' || state === 'failed') && r?.why && <Notice state="danger" title={t('request.why')}>{r.why}</Notice>}
      {(state === 'ended' || state === 'expired') && <Notice>{t('grant.over')}</Notice>}
      {(state === 'allowed' || state === 'waiting' || state === 'requested') && (
        <Card title={t('grant.use')}>
          <p>{t(state === 'allowed' ? 'grant.use.now' : 'grant.use.later')}</p>
          <CodeBlock label={t('grant.use')} text={commandLine(['ownhouse', 'connect', g.id])} />
          {sql && (
            <>
              <p>{t('grant.use.sql')}</p>
              <CodeBlock
                label={t('grant.use.sql')}
                text={commandLine(['ownhouse', 'connect', g.id, '--target', view.operations.includes('access.clickhouse.diag') ? 'clickhouse.diag' : 'clickhouse.querytext', '--sql', view.operations.includes('access.clickhouse.diag') ? 'SELECT database, name, active_parts FROM ownhouse_diag.tables ORDER BY active_parts DESC LIMIT 5' : 'SELECT * FROM ownhouse_querytext.processes LIMIT 5'])}
              />
            </>
          )}
          <p className="oh-hint">{t('grant.use.approver')}</p>
        </Card>
      )}
      <Card title={t('grant.about')}>
        <Facts
          items={[
            [t('grant.targets'), <span className="oh-list-inline">{view.operations.map((o) => <span key={o}>{word('effect', o)}</span>)}</span>],
            [t('infrastructure.title'), names.get(g.infrastructureId) ?? g.infrastructureId],
            [t('grant.minutes'), t('grant.minutes.n', { n: view.minutes })],
            [t('grant.engineer'), view.by],
            view.ticket ? [t('request.ticket'), view.ticket] : null,
            [t('request.asked'), <Time value={g.createdAt} />],
            [t('grant.latest'), <Time value={g.notAfter} />],
            g.revokedAt ? [t('grant.revokedAt'), <Time value={g.revokedAt} />] : null,
            g.revokedBy ? [t('grant.revokedBy'), g.revokedBy] : null,
            g.endedAt ? [t('grant.endedAt'), <Time value={g.endedAt} />] : null,
            [t('grant.device'), <code>{g.deviceKey}</code>],
            [t('grant.gate'), <code>{view.gate}</code>],
            [t('grant.relay'), <code>{g.relay.address}</code>],
            [t('grant.id'), <Copyable text={g.id} />],
          ]}
        />
      </Card>
      <Card title={t('sign.signatures')} actions={r && <Count have={r.haveCustomer + r.haveVendor} need={r.needCustomer + r.needVendor} />}>
        <Signatures infrastructureId={g.infrastructureId} approvals={g.approvals} />
      </Card>
      <Card title={t('grant.record')}>
        <p>{t('grant.record.what')}</p>
        <CodeBlock label={t('grant.record')} text={'ownhouse ledger show --kind access.request\nownhouse ledger show --kind access.result\nownhouse ledger verify'} />
      </Card>
      {dialog && (
        <Confirm title={t('grant.revoke.title')} act={t('grant.revoke')} danger busy={revoke.isPending} problem={revoke.error} onClose={() => setDialog(false)} onConfirm={() => revoke.mutate({ path: { grantId: g.id } })}>
          <p>{t('grant.revoke.what')}</p>
        </Confirm>
      )}
    </Page>
  );
}
