// The policy that a data plane goes by, and its kill switch: both are in the customer's account, not here.
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { Badge, Card, Facts, Time } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Loaded } from '../ui/errors';

interface Policy {
  mode?: string;
  version?: number;
  quorum?: number;
  approvers?: { name: string; key: string }[];
  vendors?: { name: string; key: string }[];
}

export function PolicyCard({ infrastructureId }: { infrastructureId: string }) {
  const { t, word } = useWords();
  const { can } = useSession();
  const query = useApi('consentGet', { path: { infrastructureId } }, { enabled: can('consentGet') });
  if (!can('consentGet')) return null;
  return (
    <Card title={t('policy.title')}>
      <Loaded query={query}>
        {(data) => {
          const c = data as Schemas['Consent'];
          const p = c.policy as Policy | null;
          if (!p) return <p className="oh-muted">{t('policy.unknown')}</p>;
          return (
            <>
              <p>{word('policy.mode.what', p.mode)}</p>
              <Facts
                items={[
                  [t('policy.mode'), <Badge text={word('policy.mode', p.mode)} state={p.mode === 'sealed' ? 'success' : 'info'} className="oh-badge" />],
                  [t('policy.version'), String(p.version ?? '')],
                  [t('policy.approvers'), (p.approvers ?? []).map((a) => a.name).join(', ')],
                  p.vendors?.length ? [t('policy.vendors'), p.vendors.map((a) => a.name).join(', ')] : null,
                  [t('policy.quorum'), t('policy.quorum.n', { n: p.quorum ?? 1 })],
                  [t('plan.digest'), <Copyable text={c.policyDigest} shown={`${c.policyDigest.slice(0, 16)}…`} />],
                  [t('policy.reported'), <Time value={c.reportedAt} relative />],
                ]}
              />
            </>
          );
        }}
      </Loaded>
    </Card>
  );
}

export function LockCard({ connected }: { connected: boolean }) {
  const { t } = useWords();
  return (
    <Card title={t('lock.title')}>
      <p>{t(connected ? 'lock.open' : 'lock.unknown')}</p>
      <p className="oh-muted">{t('lock.what')}</p>
      <CodeBlock label={t('lock.title')} text={'ownhouse-agent lock --config /etc/ownhouse/agent.conf'} />
      <p className="oh-muted">{t('lock.again')}</p>
      <CodeBlock label={t('lock.again')} text={'ownhouse-agent unlock --config /etc/ownhouse/agent.conf --key approver.key'} />
      <p className="oh-hint">{t('lock.laptop')}</p>
    </Card>
  );
}
