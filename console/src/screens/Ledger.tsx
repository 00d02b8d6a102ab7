// What the control plane holds of each data plane's record: the last checkpoint that it has cosigned. It has no leaves.
import { Link } from '@tanstack/react-router';
import { useApi } from '../api/hooks';
import type { Schemas } from '../api/client';
import { useSession } from '../app/session';
import { useWords } from '../i18n';
import { readCheckpoint } from '../lib/consent';
import { saveFile } from '../lib/csv';
import { Button, Card, Empty, Facts, Notice, Time } from '../ui/basics';
import { CodeBlock, Copyable } from '../ui/code';
import { Loaded } from '../ui/errors';
import { Page } from '../ui/page';
import { linkOf } from './Home';
import { State } from './states';

type Infrastructure = Schemas['Infrastructure'];
type Consent = Schemas['Consent'];

export function Ledger() {
  const { t } = useWords();
  const { can } = useSession();
  const query = useApi('infrastructureGetList');
  return (
    <Page title={t('nav.ledger')} lead={t('ledger.lead')}>
      <Notice title={t('ledger.honest')}>{t('ledger.honest.what')}</Notice>
      <Loaded query={query}>
        {(list) =>
          list.length ? (
            <>
              {(list as Infrastructure[]).map((i) => (
                <OneLedger key={i.id} infrastructure={i} />
              ))}
            </>
          ) : (
            <Card>
              <Empty title={t('infrastructures.empty')} action={can('accountCreate') && <Link to={'/connect' as never}>{t('infrastructures.connect')}</Link>}>
                {t('ledger.none.do')}
              </Empty>
            </Card>
          )
        }
      </Loaded>
      <Verify />
    </Page>
  );
}

function OneLedger({ infrastructure: i }: { infrastructure: Infrastructure }) {
  const query = useApi('consentGet', { path: { infrastructureId: i.id } });
  return (
    <Card
      title={
        <Link to="/infrastructures/$infrastructureId" params={{ infrastructureId: i.id } as never}>
          {i.displayName}
        </Link>
      }
      actions={<State value={linkOf(i).connected.length ? 'connected' : 'disconnected'} />}
    >
      <Loaded query={query}>{(c) => <Witnessed consent={c as Consent} name={i.name} />}</Loaded>
    </Card>
  );
}

function Witnessed({ consent: c, name }: { consent: Consent; name: string }) {
  const { t, number } = useWords();
  const checkpoint = readCheckpoint(c.ledgerCheckpoint);
  if (!checkpoint) return <Empty title={t('ledger.nothing')}>{t('ledger.nothing.do')}</Empty>;
  const witness = checkpoint.signatures.find((s) => s.at);
  return (
    <>
      {c.ledgerError ? (
        <Notice state="danger" title={t('ledger.refused')}>
          {c.ledgerError} {t('ledger.refused.do')}
        </Notice>
      ) : (
        <Notice state="success" title={t('ledger.good', { n: c.ledgerSize })}>{t('ledger.good.what')}</Notice>
      )}
      <Facts
        items={[
          [t('ledger.size'), t('ledger.leaves', { n: checkpoint.size })],
          [t('ledger.root'), <code>{checkpoint.root}</code>],
          [t('ledger.signed'), checkpoint.signatures.filter((s) => !s.at).map((s) => s.name).join(', ')],
          [t('ledger.cosigned'), witness ? <Time value={witness.at?.toISOString()} /> : '–'],
          [t('ledger.verifier'), <Copyable text={c.ledgerVerifier} />],
          [t('ledger.witness'), c.witness ? <Copyable text={c.witness} /> : '–'],
        ]}
      />
      <div className="oh-actions">
        <Button icon="download" onClick={() => saveFile(`ownhouse-checkpoint-${name}-${number(checkpoint.size, { useGrouping: false })}`, 'text/plain', c.ledgerCheckpoint)}>
          {t('ledger.download')}
        </Button>
      </div>
      <p>{t('ledger.compare')}</p>
      <CodeBlock label={t('ledger.compare')} text={[`ownhouse ledger verify DIR --checkpoint ownhouse-checkpoint-${name}-${checkpoint.size}`, `--key '${c.ledgerVerifier}'`, ...(c.witness ? [`--witness '${c.witness}'`] : [])].join(' \\\n  ')} />
    </>
  );
}

function Verify() {
  const { t } = useWords();
  return (
    <Card title={t('ledger.verify')}>
      <p>{t('ledger.verify.what')}</p>
      <CodeBlock label={t('ledger.verify')} text={'ownhouse ledger verify\nownhouse ledger show\nownhouse egress show\nownhouse ledger export --to leaves.jsonl'} />
      <p className="oh-hint">{t('ledger.verify.key')}</p>
    </Card>
  );
}
